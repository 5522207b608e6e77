//! Reductions on random shapes, strides, offsets and dtypes, on every instruction set, beside
//! plain loops over f64.

#[path = "primitives/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "primitives/running.rs"]
#[allow(dead_code)]
mod running;

use memory::{Memory, Random, rounded};
use phynexus_kernels::DType;
use phynexus_kernels::reduce::{Reduce, Reduction};
use running::{ALL, assert_values, numbers, on_all, run};

/// The values of each output of a reduction, in order.
fn groups(x: &Memory, axes: u16) -> (Vec<usize>, Vec<Vec<f64>>) {
    let sizes = x.axes.sizes();
    let kept: Vec<usize> = (0..sizes.len()).filter(|axis| axes >> axis & 1 == 0).collect();
    let shape: Vec<usize> = kept.iter().map(|&axis| sizes[axis]).collect();
    let mut groups = vec![Vec::new(); shape.iter().product()];
    for (number, value) in x.values().into_iter().enumerate() {
        let (mut rest, mut place) = (number, vec![0; sizes.len()]);
        for axis in (0..sizes.len()).rev() {
            place[axis] = rest % sizes[axis];
            rest /= sizes[axis];
        }
        let group = kept.iter().fold(0, |group, &axis| group * sizes[axis] + place[axis]);
        groups[group].push(value);
    }
    (shape, groups)
}

#[test]
fn reductions_are_those_of_f64() {
    on_all(|isa| {
        let mut random = Random::new(6);
        for round in 0..400 {
            let dtype = ALL[random.below(ALL.len())];
            let sizes = random.shape();
            let x = Memory::random(&mut random, dtype, &sizes, true);
            let axes = random.below(1 << sizes.len()) as u16;
            let (shape, groups) = groups(&x, axes);
            let total = if dtype.is_float() { dtype } else { DType::I64 };
            let op = |reduction| Reduce { reduction, axes };
            if round % 2 == 0 {
                let out = run(&op(Reduction::Sum), total, &shape, &[&x]).unwrap();
                // Sums of eighths below 2^24 / 8 are exact in f32, in any order.
                let wanted = rounded(total, groups.iter().map(|group| group.iter().sum()));
                assert_values(isa, &op(Reduction::Sum), &out, &wanted, &[&x]);
            } else if groups.iter().all(|group| !group.is_empty()) {
                let largest = |group: &Vec<f64>| {
                    group.iter().fold(f64::NEG_INFINITY, |a, &b| if a > b || a.is_nan() { a } else { b })
                };
                let out = run(&op(Reduction::Max), dtype, &shape, &[&x]).unwrap();
                assert_values(
                    isa,
                    &op(Reduction::Max),
                    &out,
                    &groups.iter().map(largest).collect::<Vec<_>>(),
                    &[&x],
                );
                if axes.count_ones() == 1 {
                    let first = |group: &Vec<f64>| {
                        let best = largest(group);
                        group.iter().position(|&x| x == best || (x.is_nan() && best.is_nan())).unwrap() as f64
                    };
                    let out = run(&op(Reduction::ArgMax), DType::I64, &shape, &[&x]).unwrap();
                    assert_values(
                        isa,
                        &op(Reduction::ArgMax),
                        &out,
                        &groups.iter().map(first).collect::<Vec<_>>(),
                        &[&x],
                    );
                }
            }
        }
    });
}

#[test]
fn sums_have_the_same_bits_on_vectors_of_any_width_and_any_threads() {
    let shapes: [(&[usize], u16); 5] =
        [(&[300_001], 1), (&[3, 100_000], 2), (&[100_000, 3], 1), (&[9000, 600], 1), (&[40, 7, 999], 0b101)];
    for (sizes, axes) in shapes {
        let x = numbers(DType::F32, sizes);
        let (shape, groups) = groups(&x, axes);
        let exact: Vec<f64> = groups.iter().map(|group| group.iter().sum()).collect();
        let size: f64 = groups[0].iter().map(|value| value.abs()).sum();
        let mut fused: Option<Vec<f64>> = None;
        on_all(|isa| {
            let op = Reduce { reduction: Reduction::Sum, axes };
            let threads = phynexus_runtime::threads();
            let found: Vec<Vec<f64>> = [1, 2, 3]
                .into_iter()
                .map(|count| {
                    phynexus_runtime::set_threads(count).unwrap();
                    run(&op, DType::F32, &shape, &[&x]).unwrap().values()
                })
                .collect();
            phynexus_runtime::set_threads(threads).unwrap();
            assert!(found.iter().all(|values| values == &found[0]), "{sizes:?} on {isa} depends on threads");
            for (value, exact) in found[0].iter().zip(&exact) {
                assert!(
                    (value - exact).abs() <= 3e-7 * size,
                    "{sizes:?} on {isa}: {value} instead of {exact}"
                );
            }
            // Additions alone: also the portable path has these bits.
            assert_eq!(fused.get_or_insert_with(|| found[0].clone()), &found[0], "{sizes:?} on {isa}");
        });
    }
}

#[test]
fn a_sum_does_not_depend_on_the_batch() {
    on_all(|isa| {
        for (sizes, axes) in [([64, 5000], 0b10), ([64, 3], 0b10)] {
            let x = numbers(DType::F32, &sizes);
            let op = Reduce { reduction: Reduction::Sum, axes };
            let all = run(&op, DType::F32, &[sizes[0]], &[&x]).unwrap().values();
            let mut one = Memory::dense(DType::F32, &[1, sizes[1]]);
            for place in 0..sizes[1] as isize {
                one.set(place, x.get(place));
            }
            assert_eq!(
                run(&op, DType::F32, &[1], &[&one]).unwrap().values()[0],
                all[0],
                "{sizes:?} on {isa}"
            );
        }
    });
}
