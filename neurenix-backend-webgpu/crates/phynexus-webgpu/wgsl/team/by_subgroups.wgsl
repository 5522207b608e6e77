
// The same by what neighbours hand each other in registers: the steps of the tree that stay within LANES
// invocations take no workgroup memory. Whoever adds, the same values meet: the bits do not change.
var<workgroup> team_values: array<f32, GROUP>;

const NEAR: u32 = min(TEAM, LANES);

fn team_sum(local: u32, value: f32) -> f32 {
    var total = value;
    if (TEAM > LANES) {
        team_values[local] = value;
        for (var half = TEAM / 2u; half >= LANES; half /= 2u) {
            workgroupBarrier();
            if (local % TEAM < half) { team_values[local] += team_values[local + half]; }
        }
        total = team_values[local]; // its own
    }
    for (var half = NEAR / 2u; half > 0u; half /= 2u) { total += subgroupShuffleXor(total, half); }
    return team_told(local, total);
}

fn team_largest(local: u32, value: f32) -> f32 {
    var largest = value;
    if (TEAM > LANES) {
        team_values[local] = value;
        for (var half = TEAM / 2u; half >= LANES; half /= 2u) {
            workgroupBarrier();
            if (local % TEAM < half) {
                team_values[local] = maximum_float(team_values[local], team_values[local + half]);
            }
        }
        largest = team_values[local];
    }
    for (var half = NEAR / 2u; half > 0u; half /= 2u) {
        largest = maximum_float(largest, subgroupShuffleXor(largest, half));
    }
    return team_told(local, largest);
}

// What the first of a team has, where not all of them have it.
fn team_told(local: u32, value: f32) -> f32 {
    if (TEAM <= LANES) { return value; }
    if (local % TEAM == 0u) { team_values[local] = value; }
    workgroupBarrier();
    let told = team_values[local - local % TEAM];
    workgroupBarrier();
    return told;
}
