
// A workgroup is cut into teams of TEAM invocations, which make one value of those that each has, by a
// tree. Every invocation of a workgroup calls these functions, whether its team has work or not.
var<workgroup> team_values: array<f32, GROUP>;

fn team_sum(local: u32, value: f32) -> f32 {
    if (TEAM == 1u) { return value; }
    team_values[local] = value;
    for (var half = TEAM / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local % TEAM < half) { team_values[local] += team_values[local + half]; }
    }
    workgroupBarrier();
    let total = team_values[local - local % TEAM];
    workgroupBarrier();
    return total;
}

fn team_largest(local: u32, value: f32) -> f32 {
    if (TEAM == 1u) { return value; }
    team_values[local] = value;
    for (var half = TEAM / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local % TEAM < half) {
            team_values[local] = maximum_float(team_values[local], team_values[local + half]);
        }
    }
    workgroupBarrier();
    let largest = team_values[local - local % TEAM];
    workgroupBarrier();
    return largest;
}
