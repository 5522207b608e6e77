use phynexus_kernels::adaptive_avg_pool2d::{AdaptiveAvgPool2d, AdaptiveAvgPool2dBackward};
use phynexus_kernels::avg_pool2d::{AvgPool2d, AvgPool2dBackward};
use phynexus_kernels::max_pool2d::{MaxPool2d, MaxPool2dValues};
use phynexus_kernels::max_pool2d_backward::MaxPool2dBackward;
use phynexus_kernels::pool_windows::Windows;
use phynexus_kernels::{DType, KernelError, Operation};

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, error, run};

/// A pooling of random shape: image, windows, padding behind, and the result's size.
struct Case {
    sizes: [usize; 4],
    windows: [Windows; 2],
    out: [usize; 2],
}

fn case(rng: &mut Rng, dilated: bool) -> Case {
    let sizes = [rng.size(1, 4), rng.size(1, 5), rng.size(3, 40), rng.size(3, 40)];
    let mut out = [0; 2];
    let windows = std::array::from_fn(|axis| {
        let size = sizes[2 + axis];
        let kernel = rng.size(1, 3);
        let dilation = if dilated && kernel * 2 < size { rng.size(1, 2) } else { 1 };
        let (before, after) = (rng.size(0, kernel / 2), rng.size(0, kernel / 2));
        let stride = rng.size(1, 3);
        out[axis] = (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
        Windows { kernel, stride, before, dilation }
    });
    Case { sizes, windows, out }
}

impl Case {
    fn result(&self) -> [usize; 4] {
        [self.sizes[0], self.sizes[1], self.out[0], self.out[1]]
    }

    /// Calls `f` with each element of the result and the places of its window in the input.
    fn each(&self, mut f: impl FnMut(usize, &[usize])) {
        let [_, _, height, width] = self.sizes;
        let [rows, cols] = self.out;
        let places = |axis: usize, index: usize| {
            let Windows { kernel, stride, before, dilation } = self.windows[axis];
            let size = self.sizes[2 + axis];
            (0..kernel)
                .map(move |tap| (index * stride + tap * dilation).wrapping_sub(before))
                .filter(move |&place| place < size)
        };
        for plane in 0..self.sizes[0] * self.sizes[1] {
            for row in 0..rows {
                for col in 0..cols {
                    let window: Vec<usize> = places(0, row)
                        .flat_map(|y| places(1, col).map(move |x| (plane * height + y) * width + x))
                        .collect();
                    f((plane * rows + row) * cols + col, &window);
                }
            }
        }
    }
}

#[test]
fn max_pool_and_its_gradient_are_right() {
    let mut rng = Rng::new(9);
    let dtypes = [FLOATS.as_slice(), &[DType::I64, DType::I32, DType::U8, DType::Bool]].concat();
    for turn in 0..80 {
        let dtype = dtypes[turn % dtypes.len()];
        let case = case(&mut rng, true);
        // Few different values, so that there are ties.
        let count = case.sizes.iter().product::<usize>();
        let most = if dtype == DType::Bool { 1 } else { 5 };
        let mut values: Vec<f64> = (0..count).map(|_| rng.size(0, most) as f64).collect();
        if dtype.is_float() && turn % 3 == 0 {
            values.iter_mut().step_by(7).for_each(|x| *x = f64::NAN);
            values.iter_mut().skip(1).step_by(5).for_each(|x| *x = f64::NEG_INFINITY);
        }
        let x = Array::new(dtype, &case.sizes, values.iter().copied());
        let plane = case.sizes[2] * case.sizes[3];
        let (mut best, mut places) = (vec![], vec![]);
        case.each(|_, window| {
            let mut chosen = window[0];
            for &i in window {
                if values[i] > values[chosen] || (values[i].is_nan() && !values[chosen].is_nan()) {
                    chosen = i;
                }
            }
            best.push(values[chosen]);
            places.push((chosen % plane) as f64);
        });
        let sizes = case.result();
        let (op, metas) =
            (MaxPool2d { windows: case.windows }, [(dtype, &sizes[..]), (DType::I64, &sizes[..])]);
        let result = run(&op, &metas, &[Some(&x)]);
        close("values", &result[0].values(), &best, dtype);
        assert_eq!(result[1].values(), places, "{op:?} of {dtype}");
        batch_invariant(&op, &metas, &[Some(&x)], &[true], &result);
        let found = run(&MaxPool2dValues { windows: case.windows }, &metas[..1], &[Some(&x)]);
        close("values only", &found[0].values(), &best, dtype);

        let grad = if dtype.is_float() {
            Array::random(&mut rng, dtype, &sizes)
        } else {
            Array::new(dtype, &sizes, (0..best.len()).map(|i| (i % 2) as f64))
        };
        let mut wanted = vec![0.0; count];
        let inner = sizes[2] * sizes[3];
        for (i, g) in grad.values().into_iter().enumerate() {
            let to = &mut wanted[i / inner * plane + places[i] as usize];
            *to = if dtype == DType::Bool { f64::max(*to, g) } else { *to + g };
        }
        let found = run(&MaxPool2dBackward, &[(dtype, &case.sizes)], &[Some(&grad), Some(&result[1])]);
        close("max_pool2d_backward", &found[0].values(), &wanted, dtype);
    }
}

#[test]
fn a_place_outside_the_plane_is_refused() {
    let grad = Array::new(DType::F32, &[1, 1, 1, 2], [1.0, 1.0]);
    for place in [-1.0, 6.0] {
        let places = Array::new(DType::I64, &[1, 1, 1, 2], [0.0, place]);
        let error = error(&MaxPool2dBackward, &[(DType::F32, &[1, 1, 2, 3])], &[Some(&grad), Some(&places)]);
        assert!(matches!(error, KernelError::Index(_)), "{error}");
    }
}

#[test]
fn means_of_windows_and_their_gradients_are_right() {
    let mut rng = Rng::new(10);
    for turn in 0..60 {
        let dtype = FLOATS[turn % 4];
        let case = case(&mut rng, false);
        let (windows, count_include_pad) = (case.windows, turn % 3 != 0);
        let sizes = case.result();
        let (x, grad) = (Array::random(&mut rng, dtype, &case.sizes), Array::random(&mut rng, dtype, &sizes));
        let (values, g) = (x.values(), grad.values());
        let (mut means, mut dx) = (vec![], vec![0.0; values.len()]);
        case.each(|out, window| {
            let all = windows[0].kernel * windows[1].kernel;
            let count = if count_include_pad { all } else { window.len() } as f64;
            means.push(window.iter().map(|&i| values[i]).sum::<f64>() / count);
            window.iter().for_each(|&i| dx[i] += g[out] / count);
        });
        let op = AvgPool2d { windows, count_include_pad };
        let found = run(&op, &[(dtype, &sizes)], &[Some(&x)]);
        close(op.name(), &found[0].values(), &means, dtype);
        batch_invariant(&op, &[(dtype, &sizes)], &[Some(&x)], &[true], &found);
        let op = AvgPool2dBackward { windows, count_include_pad };
        let found = run(&op, &[(dtype, &case.sizes)], &[Some(&grad)]);
        close(op.name(), &found[0].values(), &dx, dtype);
    }
}

#[test]
fn means_of_regions_and_their_gradients_are_right() {
    let mut rng = Rng::new(11);
    for turn in 0..40 {
        let dtype = FLOATS[turn % 4];
        let sizes = [rng.size(1, 4), rng.size(1, 20), rng.size(1, 30), rng.size(1, 30)];
        let grid = if turn % 2 == 0 { [1, 1] } else { [rng.size(1, 9), rng.size(1, 9)] };
        let out = [sizes[0], sizes[1], grid[0], grid[1]];
        let (x, grad) = (Array::random(&mut rng, dtype, &sizes), Array::random(&mut rng, dtype, &out));
        let (values, g) = (x.values(), grad.values());
        let (mut means, mut dx) = (vec![], vec![0.0; values.len()]);
        let region = |axis: usize, i: usize| {
            let (size, count) = (sizes[2 + axis], grid[axis]);
            i * size / count..((i + 1) * size).div_ceil(count)
        };
        for plane in 0..sizes[0] * sizes[1] {
            for (row, col) in (0..grid[0]).flat_map(|row| (0..grid[1]).map(move |col| (row, col))) {
                let places: Vec<usize> = region(0, row)
                    .flat_map(|y| region(1, col).map(move |x| (plane * sizes[2] + y) * sizes[3] + x))
                    .collect();
                let share = g[means.len()] / places.len() as f64;
                places.iter().for_each(|&i| dx[i] += share);
                means.push(places.iter().map(|&i| values[i]).sum::<f64>() / places.len() as f64);
            }
        }
        let found = run(&AdaptiveAvgPool2d, &[(dtype, &out)], &[Some(&x)]);
        close("adaptive_avg_pool2d", &found[0].values(), &means, dtype);
        batch_invariant(&AdaptiveAvgPool2d, &[(dtype, &out)], &[Some(&x)], &[true], &found);
        let found = run(&AdaptiveAvgPool2dBackward, &[(dtype, &sizes)], &[Some(&grad)]);
        close("adaptive_avg_pool2d_backward", &found[0].values(), &dx, dtype);
    }
}
