
// One workgroup an output: the place of the best element, the first of those that tie.
var<workgroup> best: array<X, INVOCATIONS>;
var<workgroup> places: array<u32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let count = min(params.reduced, INVOCATIONS);
    if (turn < params.turns && local < count) {
        let base = params.x_offset + kept_place(turn);
        var mine = x_at(base + reduced_place(local));
        var place = local;
        for (var r = local + INVOCATIONS; r < params.reduced; r += INVOCATIONS) {
            let value = x_at(base + reduced_place(r));
            if (FUNCTION(value, mine)) {
                mine = value;
                place = r;
            }
        }
        best[local] = mine;
        places[local] = place;
    }
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        let other = local + half;
        if (local < half && other < count) {
            let earlier = places[other] < places[local];
            let tie = !FUNCTION(best[other], best[local]) && !FUNCTION(best[local], best[other]);
            if (FUNCTION(best[other], best[local]) || (tie && earlier)) {
                best[local] = best[other];
                places[local] = places[other];
            }
        }
    }
    if (local == 0u && turn < params.turns) {
        out_put(params.out_offset + turn, vec2<u32>(places[0], 0u));
    }
}
