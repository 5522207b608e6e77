
// The gradients to weight and bias of a layer norm. A workgroup adds up CHUNK rows of 32 columns: eight
// invocations a column, each every eighth row. What it has goes to a row of parts: of the weight, then
// of the bias.
var<workgroup> sums: array<vec2<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let chunk = turn / params.blocks;
    let column = (turn % params.blocks) * 32u + local % 32u;
    let mine = column < params.width && turn < params.turns;
    let start = chunk * CHUNK + local / 32u;
    let end = select(0u, min(chunk * CHUNK + CHUNK, params.rows), mine);
    var sum = vec2<f32>(0f, 0f);
    for (var row = start; row < end; row += 8u) {
        let place = row * params.width + column;
        let grad = grad_at(params.grad_offset + place);
        let centred = x_at(params.x_offset + place) - mean_at(params.mean_offset + row);
        sum += vec2<f32>(grad * (centred * rstd_at(params.rstd_offset + row)), grad);
    }
    sums[local] = sum;
    for (var half = 128u; half >= 32u; half /= 2u) {
        workgroupBarrier();
        if (local < half) { sums[local] += sums[local + half]; }
    }
    if (local < 32u && mine) {
        let place = params.out_offset + chunk * 2u * params.width + column;
        out_put(place, sums[local].x);
        out_put(place + params.width, sums[local].y);
    }
}
