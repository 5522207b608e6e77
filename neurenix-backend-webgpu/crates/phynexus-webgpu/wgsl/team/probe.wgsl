// Of each invocation, among how many neighbours those with a number that differs in one bit can hand
// their values to each other.
@group(0) @binding(0) var<storage, read_write> found: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
    var reach = 1u;
    var holds = true;
    for (var step = 1u; step < 128u; step *= 2u) {
        let other = subgroupShuffleXor(local, step);
        holds = holds && other == (local ^ step);
        if (holds) { reach = 2u * step; }
    }
    found[local] = reach;
}
