//! Sums over planes: mean and spread of a channel, and the sums of a batch norm's backward.
//!
//! A plane is summed in four chains of vectors, one lane a channel; planes are joined one after the
//! other in the order of the samples. So sums depend neither on threads nor on instruction sets.

use phynexus_simd::{Kernel, LANES, Simd};

/// 16 values, one a channel.
pub type Channels = [f32; LANES];

/// Chains of sums that run side by side.
const CHAINS: usize = 4;

/// The mean of each channel in a plane, and the sum of squared distances from it.
pub struct Moments {
    /// The pixels.
    pub plane: *const f32,
    /// How many.
    pub pixels: usize,
}

/// Sums over pixels, each chain's vectors.
#[inline(always)]
fn sum<S: Simd, const N: usize>(simd: S, pixels: usize, term: impl Fn(usize) -> [S::F32; N]) -> [S::F32; N] {
    let mut chains = [[simd.zero(); N]; CHAINS];
    let whole = pixels - pixels % CHAINS;
    let mut pixel = 0;
    while pixel < whole {
        for (index, chain) in chains.iter_mut().enumerate() {
            let terms = term(pixel + index);
            for (sum, term) in chain.iter_mut().zip(terms) {
                *sum = simd.add(*sum, term);
            }
        }
        pixel += CHAINS;
    }
    while pixel < pixels {
        let terms = term(pixel);
        for (sum, term) in chains[0].iter_mut().zip(terms) {
            *sum = simd.add(*sum, term);
        }
        pixel += 1;
    }
    std::array::from_fn(|which| {
        let [a, b, c, d] = chains.map(|chain| chain[which]);
        simd.add(simd.add(a, b), simd.add(c, d))
    })
}

impl Kernel for Moments {
    type Output = [Channels; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [Channels; 2] {
        // SAFETY: the plane has as many vectors.
        let at = |pixel: usize| unsafe { simd.load(self.plane.add(pixel * LANES)) };
        let [total] = sum(simd, self.pixels, |pixel| [at(pixel)]);
        let mean = simd.div(total, simd.splat(self.pixels as f32));
        let [spread] = sum(simd, self.pixels, |pixel| {
            let distance = simd.sub(at(pixel), mean);
            [simd.mul(distance, distance)]
        });
        [simd.to_array(mean), simd.to_array(spread)]
    }
}

/// Joins the moments of planes of equally many pixels, in order, and returns mean and variance (of
/// the population).
pub fn join_moments(planes: impl Iterator<Item = [Channels; 2]>, pixels: usize) -> [Channels; 2] {
    let (mut count, mut mean, mut spread) = (0.0f32, [0.0f32; LANES], [0.0f32; LANES]);
    let more = pixels as f32;
    for [other_mean, other_spread] in planes {
        let total = count + more;
        let (share, weight) = (more / total, count * (more / total));
        for lane in 0..LANES {
            let distance = other_mean[lane] - mean[lane];
            mean[lane] += distance * share;
            spread[lane] += other_spread[lane] + distance * distance * weight;
        }
        count = total;
    }
    [mean, spread.map(|spread| spread / count)]
}

/// The sums of the gradient, and of the gradient times the distance from the mean.
pub struct GradientSums {
    /// The gradient.
    pub grad: *const f32,
    /// What was normalised.
    pub x: *const f32,
    /// The mean of each channel.
    pub mean: Channels,
    /// How many pixels.
    pub pixels: usize,
}

impl Kernel for GradientSums {
    type Output = [Channels; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [Channels; 2] {
        // SAFETY: the mean has 16 values.
        let mean = unsafe { simd.load(self.mean.as_ptr()) };
        sum(simd, self.pixels, |pixel| {
            // SAFETY: both planes have as many vectors.
            let (grad, x) =
                unsafe { (simd.load(self.grad.add(pixel * LANES)), simd.load(self.x.add(pixel * LANES))) };
            [grad, simd.mul(grad, simd.sub(x, mean))]
        })
        .map(|sums| simd.to_array(sums))
    }
}

#[cfg(test)]
mod tests {
    use phynexus_simd::{Isa, dispatch_on};

    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| 100.0 + ((i * 7919) % 1013) as f32 / 97.0).collect()
    }

    #[test]
    fn joined_moments_are_those_of_all_pixels() {
        let (samples, pixels) = (3, 49);
        let x = values(samples * pixels * LANES);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let planes = (0..samples).map(|sample| {
                let plane = &x[sample * pixels * LANES..];
                dispatch_on(isa, Moments { plane: plane.as_ptr(), pixels })
            });
            let [mean, var] = join_moments(planes, pixels);
            for lane in 0..LANES {
                let all: Vec<f64> = x[lane..].iter().step_by(LANES).map(|&value| f64::from(value)).collect();
                let exact = all.iter().sum::<f64>() / all.len() as f64;
                let spread = all.iter().map(|value| (value - exact).powi(2)).sum::<f64>() / all.len() as f64;
                assert!((f64::from(mean[lane]) - exact).abs() < 2e-5, "{isa}");
                assert!((f64::from(var[lane]) / spread - 1.0).abs() < 1e-5, "{isa}");
            }
        }
    }

    #[test]
    fn gradient_sums_are_the_same_bits_on_every_instruction_set() {
        let (grad, x) = (values(37 * LANES), values(38 * LANES));
        let sums = |isa| {
            dispatch_on(
                isa,
                GradientSums {
                    grad: grad.as_ptr(),
                    x: x[LANES..].as_ptr(),
                    mean: [103.0; LANES],
                    pixels: 37,
                },
            )
        };
        let expected = sums(Isa::Portable);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            assert_eq!(sums(isa), expected, "{isa}");
        }
    }
}
