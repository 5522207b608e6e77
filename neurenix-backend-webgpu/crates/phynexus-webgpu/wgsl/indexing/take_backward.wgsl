
// A workgroup an index and GROUP columns: where no earlier index is the same, it adds up the rows of all
// that are, in their order. Invocations compare GROUP indices at a time, a bit each.
const MASKS: u32 = GROUP / 32u;
var<workgroup> same: array<atomic<u32>, MASKS>;
var<workgroup> earlier: atomic<u32>;

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let number = turn / params.blocks;
    let column = (turn % params.blocks) * GROUP + local;
    var own = NOWHERE;
    if (number < params.count) { own = FUNCTION(index_at(params.index_offset + number), params.size); }
    if (local == 0u) { atomicStore(&earlier, 0u); }
    var total = 0f;
    for (var start = 0u; start < params.count; start += GROUP) {
        workgroupBarrier();
        if (local < MASKS) { atomicStore(&same[local], 0u); }
        workgroupBarrier();
        let other = start + local;
        if (other < params.count && own != NOWHERE) {
            if (FUNCTION(index_at(params.index_offset + other), params.size) == own) {
                atomicOr(&same[local / 32u], 1u << (local % 32u));
                if (other < number) { atomicStore(&earlier, 1u); }
            }
        }
        workgroupBarrier();
        if (atomicLoad(&earlier) == 0u && column < params.width) {
            for (var word = 0u; word < MASKS; word++) {
                var left = atomicLoad(&same[word]);
                while (left != 0u) {
                    let row = start + word * 32u + firstTrailingBit(left);
                    total += grad_at(params.grad_offset + row * params.width + column);
                    left &= left - 1u;
                }
            }
        }
    }
    workgroupBarrier();
    if (atomicLoad(&earlier) == 0u && column < params.width && own != NOWHERE) {
        out_put(params.out_offset + own * params.width + column, total);
    }
}
