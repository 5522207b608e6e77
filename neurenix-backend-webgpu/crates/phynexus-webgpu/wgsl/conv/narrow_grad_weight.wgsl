
// The gradient to the weights where groups have few channels and features: a workgroup a weight, whose
// invocations share the outputs of all samples.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.y * groups.x + group.x;
    let end = select(0u, params.depth, number < params.weights);
    let tap = number % TAPS;
    let feature = number / TAPS / params.group_channels;
    let own = (number / TAPS) % params.group_channels;
    let channel = (feature / params.group_features) * params.group_channels + own;
    let out_size = params.out_height * params.out_width;
    // Above and left of the image these wrap around to numbers larger than any image.
    let top = (tap / KERNEL_WIDTH) * DILATION_ROW - params.top;
    let left = (tap % KERNEL_WIDTH) * DILATION_COLUMN - params.left;
    var sum = 0f;
    for (var output = local; output < end; output += GROUP) {
        let sample = output / out_size;
        let place = output - sample * out_size;
        let line = place / params.out_width;
        let row = line * STRIDE_ROW + top;
        let column = (place - line * params.out_width) * STRIDE_COLUMN + left;
        if (row < params.height && column < params.width) {
            let at = ((sample * params.channels + channel) * params.height + row) * params.width + column;
            let grad = grad_at(params.grad_offset + (sample * params.features + feature) * out_size + place);
            sum = fma(grad, x_at(params.x_offset + at), sum);
        }
    }
    let total = team_sum(local, sum);
    if (local == 0u && number < params.weights) { out_put(params.out_offset + number, total); }
}
