//! Convolution from NCHW to NCHW.

mod reference;

use half::{bf16, f16};
use phynexus_conv::{
    ConvPlan, ConvShape, Element, NchwWeights, conv2d_grad_bias_nchw, conv2d_grad_input_nchw,
    conv2d_grad_weight_nchw, conv2d_nchw,
};
use reference::{Numbers, convolve, each_product};

fn shapes() -> [ConvShape; 4] {
    [
        ConvShape::square(3, (3, 20), [17, 15], 5, 2, 2),
        ConvShape::square(5, (24, 36), [13, 9], 3, 1, 1),
        ConvShape::square(2, (40, 24), [9, 9], 1, 2, 0),
        ConvShape { groups: 32, ..ConvShape::square(2, (32, 32), [9, 7], 3, 1, 1) },
    ]
}

fn check<T: Element>(narrow: impl Fn(f32) -> T, widen: impl Fn(T) -> f32, tolerance: f64) {
    let mut numbers = Numbers::new(21);
    for shape in shapes() {
        let mut elements = |len: usize| -> Vec<T> { numbers.fill(len).into_iter().map(&narrow).collect() };
        let (x, weights, bias) =
            (elements(shape.in_len()), elements(shape.weight_len()), elements(shape.out_channels));
        let (residual, grad) = (elements(shape.out_len()), elements(shape.out_len()));
        let wide = |elements: &[T]| -> Vec<f32> { elements.iter().map(|&x| widen(x)).collect() };
        let near = |found: &[T], expected: &[f64], what: &str| {
            for (a, b) in found.iter().zip(expected) {
                let error = (f64::from(widen(*a)) - b).abs();
                assert!(
                    error <= tolerance * (1.0 + b.abs()),
                    "{what} of {shape:?}: {} instead of {b}",
                    widen(*a)
                );
            }
        };

        let mut expected = convolve(&shape, &wide(&x), &wide(&weights));
        for (i, value) in expected.iter_mut().enumerate() {
            let channel = i / shape.out_pixels() % shape.out_channels;
            *value = (*value + f64::from(widen(bias[channel])) + f64::from(widen(residual[i]))).max(0.0);
        }
        let mut y = vec![T::default(); shape.out_len()];
        let canonical = NchwWeights::Canonical(&weights, Some(&bias));
        conv2d_nchw(&shape, &x, canonical, Some(&residual), true, &mut y).unwrap();
        near(&y, &expected, "output");
        let plan = ConvPlan::new(&shape, phynexus_simd::isa()).unwrap();
        let packed = plan.pack(&wide(&weights), None).unwrap();
        let mut again = vec![T::default(); shape.out_len()];
        let packed = NchwWeights::Packed(&packed, Some(&bias));
        conv2d_nchw(&shape, &x, packed, Some(&residual), true, &mut again).unwrap();
        assert!(y.iter().zip(&again).all(|(a, b)| widen(*a) == widen(*b)), "packed weights give other bits");

        let (mut grad_x, mut grad_w) = (vec![0.0; x.len()], vec![0.0; weights.len()]);
        let (wide_x, wide_weights, wide_grad) = (wide(&x), wide(&weights), wide(&grad));
        each_product(&shape, |output, input, weight| {
            grad_x[input] += f64::from(wide_grad[output]) * f64::from(wide_weights[weight]);
            grad_w[weight] += f64::from(wide_grad[output]) * f64::from(wide_x[input]);
        });
        let mut found = vec![T::default(); x.len()];
        conv2d_grad_input_nchw(&shape, &grad, &weights, &mut found).unwrap();
        near(&found, &grad_x, "gradient of the input");
        let mut found = vec![T::default(); weights.len()];
        conv2d_grad_weight_nchw(&shape, &x, &grad, &mut found).unwrap();
        near(&found, &grad_w, "gradient of the weights");
        let mut grad_b = vec![0.0; shape.out_channels];
        for (i, &value) in wide_grad.iter().enumerate() {
            grad_b[i / shape.out_pixels() % shape.out_channels] += f64::from(value);
        }
        let mut found = vec![T::default(); shape.out_channels];
        conv2d_grad_bias_nchw(&shape, &grad, &mut found).unwrap();
        near(&found, &grad_b, "gradient of the bias");
    }
}

#[test]
fn float32() {
    check(|x| x, |x| x, 1e-4);
}

#[test]
fn bfloat16() {
    check(bf16::from_f32, bf16::to_f32, 1.0 / 256.0 + 1e-4);
}

#[test]
fn float16() {
    check(f16::from_f32, f16::to_f32, 1.0 / 2048.0 + 1e-4);
}
