use phynexus_kernels::DType;
use phynexus_kernels::conv2d::{Conv2d, Conv2dFused, Conv2dGradInput, Conv2dGradWeight, Convolution};

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, run};

/// Calls `f` with the places in output, images and weight of each product of the definition.
fn each_product(
    convolution: &Convolution,
    [images, weight, out]: [&[usize]; 3],
    mut f: impl FnMut(usize, usize, usize),
) {
    let Convolution { stride, padding, dilation, groups } = *convolution;
    let (group_in, group_out) = (weight[1], weight[0] / groups);
    let place = |axis: usize, at: usize, tap: usize| {
        let place = (at * stride[axis] + tap * dilation[axis]).checked_sub(padding[axis].0)?;
        (place < images[2 + axis]).then_some(place)
    };
    for index in 0..out.iter().product() {
        let (col, row) = (index % out[3], index / out[3] % out[2]);
        let (channel, sample) = (index / out[3] / out[2] % out[1], index / out[3] / out[2] / out[1]);
        for k in 0..group_in * weight[2] * weight[3] {
            let (c, i, j) = (k / weight[3] / weight[2], k / weight[3] % weight[2], k % weight[3]);
            let (Some(y), Some(x)) = (place(0, row, i), place(1, col, j)) else { continue };
            let in_channel = channel / group_out * group_in + c;
            let image = ((sample * images[1] + in_channel) * images[2] + y) * images[3] + x;
            f(index, image, channel * group_in * weight[2] * weight[3] + k);
        }
    }
}

#[test]
fn convolution_and_its_gradients_are_right() {
    let mut rng = Rng::new(18);
    for turn in 0..48 {
        let dtype = FLOATS[turn % 4];
        let groups = [1, 1, 2, 3][rng.size(0, 3)];
        let (group_in, group_out) = (rng.size(1, 6), rng.size(1, 6));
        let images = [rng.size(1, 3), groups * group_in, rng.size(3, 12), rng.size(3, 12)];
        let weight = [groups * group_out, group_in, rng.size(1, 3), rng.size(1, 3)];
        let convolution = Convolution {
            stride: [rng.size(1, 2), rng.size(1, 3)],
            padding: [(rng.size(0, 2), rng.size(0, 2)), (rng.size(0, 2), rng.size(0, 2))],
            dilation: [1, if images[3] > 4 { rng.size(1, 2) } else { 1 }],
            groups,
        };
        let size = |axis: usize| {
            let (before, after) = convolution.padding[axis];
            let reach = convolution.dilation[axis] * (weight[2 + axis] - 1) + 1;
            (images[2 + axis] + before + after - reach) / convolution.stride[axis] + 1
        };
        let out = [images[0], weight[0], size(0), size(1)];
        let sizes: [&[usize]; 3] = [&images, &weight, &out];
        let x = Array::random(&mut rng, dtype, &images);
        let w = Array::random(&mut rng, dtype, &weight);
        let grad = Array::random(&mut rng, dtype, &out);
        let bias = (turn % 3 != 0).then(|| Array::random(&mut rng, dtype, &[weight[0]]));
        let residual = (turn % 5 != 0).then(|| Array::random(&mut rng, dtype, &out));

        let plane = out[2] * out[3];
        let at_bias = bias.as_ref().map(Array::values);
        let mut y: Vec<f64> = (0..out.iter().product())
            .map(|i| at_bias.as_ref().map_or(0.0, |bias| bias[i / plane % weight[0]]))
            .collect();
        let (mut dx, mut dw) = (vec![0.0; x.count()], vec![0.0; w.count()]);
        let (x_values, w_values, g) = (x.values(), w.values(), grad.values());
        each_product(&convolution, sizes, |out, image, tap| {
            y[out] += x_values[image] * w_values[tap];
            dx[image] += g[out] * w_values[tap];
            dw[tap] += g[out] * x_values[image];
        });
        let inputs = [Some(&x), Some(&w), bias.as_ref()];
        let found = run(&Conv2d { convolution }, &[(dtype, &out)], &inputs);
        close("conv2d", &found[0].values(), &y, dtype);
        let batched = [true, false, false];
        batch_invariant(&Conv2d { convolution }, &[(dtype, &out)], &inputs, &batched, &found);

        let relu = turn % 2 == 0;
        if let Some(residual) = &residual {
            y.iter_mut().zip(residual.values()).for_each(|(y, residual)| *y += residual);
        }
        if relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        let op = Conv2dFused { convolution, relu };
        let found = run(&op, &[(dtype, &out)], &[Some(&x), Some(&w), bias.as_ref(), residual.as_ref()]);
        close("conv2d_fused", &found[0].values(), &y, dtype);

        let inputs = [Some(&grad), Some(&w)];
        let op = Conv2dGradInput { convolution };
        let found = run(&op, &[(dtype, &images)], &inputs);
        close("conv2d_grad_input", &found[0].values(), &dx, dtype);
        batch_invariant(&op, &[(dtype, &images)], &inputs, &[true, false], &found);
        let op = Conv2dGradWeight { convolution };
        let found = run(&op, &[(dtype, &weight)], &[Some(&grad), Some(&x)]);
        close("conv2d_grad_weight", &found[0].values(), &dw, dtype);
    }
}

#[test]
fn without_channels_there_is_the_bias_and_without_samples_no_gradient() {
    let convolution = Convolution { stride: [1; 2], padding: [(0, 0); 2], dilation: [1; 2], groups: 1 };
    for dtype in [DType::F32, DType::F64] {
        let (x, weight) = (Array::new(dtype, &[1, 0, 2, 2], []), Array::new(dtype, &[2, 0, 2, 2], []));
        let bias = Array::new(dtype, &[2], [1.0, 2.0]);
        let inputs = [Some(&x), Some(&weight), Some(&bias)];
        let found = run(&Conv2d { convolution }, &[(dtype, &[1, 2, 1, 1])], &inputs);
        assert_eq!(found[0].values(), [1.0, 2.0]);
    }
    for dtype in FLOATS {
        let (grad, x) = (Array::new(dtype, &[0, 1, 1, 1], []), Array::new(dtype, &[0, 1, 2, 2], []));
        let op = Conv2dGradWeight { convolution };
        assert_eq!(run(&op, &[(dtype, &[1, 1, 2, 2])], &[Some(&grad), Some(&x)])[0].values(), [0.0; 4]);
    }
}
