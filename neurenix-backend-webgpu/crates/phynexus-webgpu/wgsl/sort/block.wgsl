
// Bitonic sorting (Batcher 1968, "Sorting networks and their applications"): a workgroup BLOCK places of
// a row, for the runs from `first_run` to `last_run` long. Before the first of them, numbers are in
// their own order.
var<workgroup> keys: array<X, BLOCK>;
var<workgroup> numbers: array<u32, BLOCK>;

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = group.y * groups.x + group.x;
    let is_there = block < params.blocks;
    let row = block / (params.size / BLOCK);
    let start = (block % (params.size / BLOCK)) * BLOCK;
    let base = params.out_offset + row * params.size + start;
    if (is_there) {
        for (var place = local; place < BLOCK; place += GROUP) {
            var number = start + place;
            if (params.first_run != 2u) { number = bitcast<u32>(out_at(base + place)); }
            numbers[place] = number;
            keys[place] = key_of(row, number);
        }
    }
    for (var run = params.first_run; run <= params.last_run; run *= 2u) {
        for (var step = min(run, BLOCK) / 2u; step > 0u; step /= 2u) {
            workgroupBarrier();
            for (var pair = local; pair < BLOCK / 2u; pair += GROUP) {
                let place = (pair / step) * (2u * step) + pair % step;
                let other = place + step;
                let upward = ((start + place) & run) == 0u;
                if (is_first(numbers[other], keys[other], numbers[place], keys[place]) == upward) {
                    let number = numbers[place];
                    let key = keys[place];
                    numbers[place] = numbers[other];
                    keys[place] = keys[other];
                    numbers[other] = number;
                    keys[other] = key;
                }
            }
        }
    }
    workgroupBarrier();
    if (is_there) {
        for (var place = local; place < BLOCK; place += GROUP) {
            out_put(base + place, bitcast<i32>(numbers[place]));
        }
    }
}
