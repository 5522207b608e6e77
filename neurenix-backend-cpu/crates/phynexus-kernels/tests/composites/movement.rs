use phynexus_kernels::DType;
use phynexus_kernels::concat::Concat;
use phynexus_kernels::movement::Scalar;
use phynexus_kernels::pad::Pad;
use phynexus_kernels::sort::{Sort, TopK};

use crate::support::{Array, FLOATS, Rng, run};

#[test]
fn sorting_is_stable_and_puts_nan_last() {
    let mut rng = Rng::new(15);
    let dtypes = [FLOATS.as_slice(), &[DType::I64, DType::I32, DType::U8]].concat();
    for turn in 0..56 {
        let dtype = dtypes[turn % dtypes.len()];
        let sizes = [rng.size(1, 4), rng.size(1, 60), rng.size(1, 5)];
        let axis = rng.size(0, 2);
        let low = if dtype == DType::U8 { 0.0 } else { -4.0 };
        let value = |rng: &mut Rng| match rng.size(0, 9) {
            0 if dtype.is_float() => f64::NAN,
            1 if dtype.is_float() => -0.0,
            n => n as f64 + low,
        };
        let values: Vec<f64> = (0..sizes.iter().product()).map(|_| value(&mut rng)).collect();
        let x = Array::new(dtype, &sizes, values.iter().copied());
        let count = sizes[axis];
        let inner: usize = sizes[axis + 1..].iter().product();
        let kept = rng.size(0, count);
        for descending in [false, true] {
            let before = |a: f64, b: f64| {
                let less = |a: f64, b: f64| a < b || (b.is_nan() && !a.is_nan());
                if descending { less(b, a) } else { less(a, b) }
            };
            let found =
                run(&Sort { axis, descending }, &[(dtype, &sizes), (DType::I64, &sizes)], &[Some(&x)]);
            let mut few = sizes;
            few[axis] = kept;
            let first =
                run(&TopK { axis, largest: descending }, &[(dtype, &few), (DType::I64, &few)], &[Some(&x)]);
            let (sorted, places) = (found[0].values(), found[1].values());
            for row in 0..values.len() / count {
                let (outer, column) = (row / inner, row % inner);
                let at = |k: usize| (outer * count + k) * inner + column;
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by(|&a, &b| {
                    let (a, b) = (values[at(a)], values[at(b)]);
                    before(b, a).cmp(&before(a, b))
                });
                for (k, &place) in order.iter().enumerate() {
                    assert_eq!(places[at(k)], place as f64, "{dtype} descending {descending}");
                    assert_eq!(sorted[at(k)].to_bits(), x.values()[at(place)].to_bits());
                }
                for (k, &place) in order.iter().enumerate().take(kept) {
                    let to = (outer * kept + k) * inner + column;
                    assert_eq!(first[1].values()[to], place as f64);
                    assert_eq!(first[0].values()[to].to_bits(), x.values()[at(place)].to_bits());
                }
            }
        }
    }
}

#[test]
fn joined_pieces_come_one_after_the_other() {
    let mut rng = Rng::new(16);
    for turn in 0..24 {
        let dtype = [DType::F32, DType::F64, DType::Bf16, DType::U8][turn % 4];
        let axis = turn % 3;
        let shape = [rng.size(1, 9), rng.size(1, 9), rng.size(1, 40)];
        let parts: Vec<Array> = (0..rng.size(1, 4))
            .map(|_| {
                let mut sizes = shape;
                sizes[axis] = rng.size(0, 9);
                Array::new(dtype, &sizes, (0..).map(|i| f64::from(i % 200)))
            })
            .collect();
        let mut sizes = shape;
        sizes[axis] = parts.iter().map(|part| part.sizes[axis]).sum();
        let inner: usize = sizes[axis + 1..].iter().product();
        let outer: usize = sizes[..axis].iter().product();
        let mut wanted = vec![];
        for index in 0..outer {
            for part in &parts {
                let many = part.sizes[axis] * inner;
                wanted.extend(&part.values()[index * many..(index + 1) * many]);
            }
        }
        let inputs: Vec<_> = parts.iter().map(Some).collect();
        assert_eq!(run(&Concat { axis }, &[(dtype, &sizes)], &inputs)[0].values(), wanted);
    }
}

#[test]
fn padding_surrounds_and_separates() {
    let mut rng = Rng::new(17);
    for turn in 0..32 {
        let dtype = [DType::F32, DType::F16, DType::I32, DType::U8][turn % 4];
        let sizes = [rng.size(0, 5), rng.size(1, 6), rng.size(1, 30)];
        let x = Array::new(dtype, &sizes, (0..).map(|i| f64::from(i % 100)));
        let before: Vec<usize> = (0..3).map(|_| rng.size(0, 2)).collect();
        let between: Vec<usize> = (0..3).map(|_| if turn % 2 == 0 { 0 } else { rng.size(0, 2) }).collect();
        let padded: Vec<usize> = (0..3)
            .map(|a| before[a] + sizes[a] + sizes[a].saturating_sub(1) * between[a] + rng.size(0, 2))
            .collect();
        let mut wanted = vec![7.0; padded.iter().product()];
        for (i, value) in x.values().into_iter().enumerate() {
            let index = [i / sizes[2] / sizes[1], i / sizes[2] % sizes[1], i % sizes[2]];
            let at: Vec<usize> = (0..3).map(|a| before[a] + index[a] * (between[a] + 1)).collect();
            wanted[(at[0] * padded[1] + at[1]) * padded[2] + at[2]] = value;
        }
        let op = Pad { before, between, value: Scalar::Integer(7) };
        assert_eq!(run(&op, &[(dtype, &padded)], &[Some(&x)])[0].values(), wanted, "{op:?} of {sizes:?}");
    }
}
