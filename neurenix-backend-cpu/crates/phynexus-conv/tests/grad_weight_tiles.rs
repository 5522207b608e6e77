//! The gradient of the weights of 3x3 convolutions without stride, which is computed in tiles.

mod reference;

use phynexus_conv::{ConvShape, GradWeightPlan, InputLayout};
use phynexus_simd::Isa;
use reference::{Numbers, blocked, each_product};

/// A convolution's input and its output's gradient, in blocks.
struct Case {
    shape: ConvShape,
    x: Vec<f32>,
    grad: Vec<f32>,
}

impl Case {
    /// Of random numbers; the input is no less than zero, as after ReLU.
    fn new(shape: &ConvShape, numbers: &mut Numbers) -> Self {
        let x: Vec<f32> = numbers.fill(shape.in_len()).into_iter().map(|x| x.max(0.0)).collect();
        Self { shape: shape.clone(), x, grad: numbers.fill(shape.out_len()) }
    }

    fn run(&self, isa: Isa, threads: usize) -> Vec<f32> {
        let shape = &self.shape;
        let x = blocked(shape.batch, shape.in_channels, shape.in_pixels(), &self.x);
        let grad = blocked(shape.batch, shape.out_channels, shape.out_pixels(), &self.grad);
        let plan = GradWeightPlan::with_input(shape, isa, InputLayout::Blocked).unwrap();
        let mut weights = vec![f32::NAN; shape.weight_len()];
        plan.run(shape.batch, &x, &grad, &mut weights, false, threads).unwrap();
        weights
    }

    /// One weight's gradient by the definition.
    fn expected(&self, index: usize) -> f64 {
        let shape = &self.shape;
        let (tap, index) = (index % 9, index / 9);
        let (in_channel, out_channel) = (index % shape.in_channels, index / shape.in_channels);
        let [out_height, out_width] = shape.out_size();
        let [height, width] = shape.in_size;
        let mut sum = 0.0;
        for sample in 0..shape.batch {
            let x = &self.x[(sample * shape.in_channels + in_channel) * height * width..];
            let grad = &self.grad[(sample * shape.out_channels + out_channel) * out_height * out_width..];
            for row in 0..out_height {
                for column in 0..out_width {
                    let y = (row + tap / 3).wrapping_sub(shape.padding[0].0);
                    let z = (column + tap % 3).wrapping_sub(shape.padding[1].0);
                    if y < height && z < width {
                        sum += f64::from(grad[row * out_width + column]) * f64::from(x[y * width + z]);
                    }
                }
            }
        }
        sum
    }
}

fn isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn random_shapes() {
    let mut numbers = Numbers::new(21);
    for _ in 0..40 {
        let shape = ConvShape {
            batch: 1 + numbers.below(6),
            in_size: [2 + numbers.below(14), 2 + numbers.below(14)],
            padding: std::array::from_fn(|_| (1 + numbers.below(2), numbers.below(3))),
            ..ConvShape::square(1, (8 + numbers.below(80), 8 + numbers.below(80)), [4, 4], 3, 1, 1)
        };
        let case = Case::new(&shape, &mut numbers);
        let mut expected = vec![0.0; shape.weight_len()];
        each_product(&shape, |output, input, weight| {
            expected[weight] += f64::from(case.grad[output]) * f64::from(case.x[input]);
        });
        let bound = 2e-5 * root_mean_square(&expected);
        let mut fused: Option<Vec<f32>> = None;
        for isa in isas() {
            let found = case.run(isa, 1);
            for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                let error = (f64::from(*a) - b).abs();
                assert!(error <= bound, "{isa}, {shape:?}: {a} instead of {b} at {i}");
            }
            // On more threads the channels are cut into other parts.
            for threads in [2, 7] {
                assert!(
                    found == case.run(isa, threads),
                    "{isa}, {shape:?}: {threads} threads change the bits"
                );
            }
            if isa != Isa::Portable {
                let first = fused.get_or_insert_with(|| found.clone());
                assert!(*first == found, "{isa}, {shape:?}: other bits than the first instruction set");
            }
        }
    }
}

/// The convolutions of ResNet-18 that are computed in tiles; fewer channels where the sums are long.
#[test]
fn the_error_bound_of_networks() {
    let mut numbers = Numbers::new(22);
    for (channels, size, batch) in [(32, 56, 16), (32, 28, 16), (64, 14, 16), (256, 7, 32)] {
        let shape = ConvShape::square(batch, (channels, channels), [size, size], 3, 1, 1);
        let case = Case::new(&shape, &mut numbers);
        let found = case.run(phynexus_simd::isa(), 2);
        let some: Vec<usize> = (0..300).map(|_| numbers.below(shape.weight_len())).collect();
        let expected: Vec<f64> = some.iter().map(|&index| case.expected(index)).collect();
        let error = |(&index, &expected): (&usize, &f64)| (f64::from(found[index]) - expected).abs();
        let worst = some.iter().zip(&expected).map(error).fold(0.0, f64::max) / root_mean_square(&expected);
        println!("{channels} channels of {size}x{size}, {batch} samples: worst error {worst:.2e}");
        assert!(worst <= 2e-5, "{shape:?}: {worst:e} of the root mean square");
    }
}

#[test]
fn a_value_that_is_not_finite_stays_between_its_channels() {
    let mut numbers = Numbers::new(23);
    let shape = ConvShape::square(3, (24, 40), [9, 10], 3, 1, 1);
    let mut case = Case::new(&shape, &mut numbers);
    let clean = case.run(phynexus_simd::isa(), 2);
    for value in [f32::NAN, f32::INFINITY] {
        // In the middle of the second sample's plane of channel 7, every tap reaches it.
        let x_at = (24 + 7) * 90 + 44;
        let before = std::mem::replace(&mut case.x[x_at], value);
        let found = case.run(phynexus_simd::isa(), 2);
        case.x[x_at] = before;
        for (i, (a, b)) in found.iter().zip(&clean).enumerate() {
            if i / 9 % 24 == 7 {
                assert!(!a.is_finite(), "lost at {i}");
            } else {
                assert!(a == b, "changes weight {i}");
            }
        }
        let grad_at = (40 + 33) * 90 + 44;
        let before = std::mem::replace(&mut case.grad[grad_at], value);
        let found = case.run(phynexus_simd::isa(), 2);
        case.grad[grad_at] = before;
        for (i, (a, b)) in found.iter().zip(&clean).enumerate() {
            if i / (9 * 24) == 33 {
                assert!(!a.is_finite(), "lost at {i}");
            } else {
                assert!(a == b, "changes weight {i}");
            }
        }
    }
}
