//! Indexing on random shapes, strides, offsets and dtypes, on every instruction set, beside
//! plain loops over f64.

#[path = "primitives/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "primitives/running.rs"]
#[allow(dead_code)]
mod running;

use memory::{Memory, Random, rounded};
use phynexus_kernels::indexing::{Gather, Scatter, ScatterAdd, Take, TakeBackward};
use phynexus_kernels::{DType, KernelError};
use running::{ALL, assert_values, on_all, run};

#[test]
fn indexed_elements_are_read_written_and_added() {
    on_all(|isa| {
        let mut random = Random::new(8);
        for _ in 0..150 {
            let dtype = ALL[random.below(ALL.len())];
            let sizes: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(9)).collect();
            let axis = random.below(sizes.len());
            let mut wanted_sizes = sizes.clone();
            wanted_sizes[axis] = random.below(12);
            let x = Memory::random(&mut random, dtype, &sizes, true);
            let mut index = Memory::random(&mut random, DType::I64, &wanted_sizes, false);
            for place in index.places() {
                index.set(place, random.below(sizes[axis]) as f64);
            }
            let value = Memory::random(&mut random, dtype, &wanted_sizes, true);
            // Where each index points: into the elements in row-major order.
            let mut pointed = Vec::new();
            for (number, at) in index.values().into_iter().enumerate() {
                let (mut rest, mut place, mut step) = (number, 0, 1);
                for a in (0..sizes.len()).rev() {
                    let along = rest % wanted_sizes[a];
                    rest /= wanted_sizes[a];
                    place += step * if a == axis { at as usize } else { along };
                    step *= sizes[a];
                }
                pointed.push(place);
            }
            let values = x.values();
            let gathered: Vec<f64> = pointed.iter().map(|&place| values[place]).collect();
            let op = Gather { axis };
            assert_values(
                isa,
                &op,
                &run(&op, dtype, &wanted_sizes, &[&x, &index]).unwrap(),
                &gathered,
                &[&x, &index],
            );
            let (mut set, mut added) = (values.clone(), values);
            for (&place, value) in pointed.iter().zip(value.values()) {
                set[place] = value;
                added[place] += value;
            }
            let op = Scatter { axis };
            assert_values(
                isa,
                &op,
                &run(&op, dtype, &sizes, &[&x, &index, &value]).unwrap(),
                &set,
                &[&x, &index],
            );
            if added.iter().all(|sum| sum.abs() < 100.0 || dtype.size() > 1) {
                let op = ScatterAdd { axis };
                let out = run(&op, dtype, &sizes, &[&x, &index, &value]).unwrap();
                assert_values(isa, &op, &out, &rounded(dtype, added), &[&x, &index, &value]);
            }
        }
    });
}

#[test]
fn slices_are_taken_and_their_gradients_added() {
    on_all(|isa| {
        for dtype in [DType::F32, DType::F64, DType::F16, DType::Bf16, DType::I32] {
            let mut random = Random::new(9);
            let (rows, width) = (7, 1 + random.below(600));
            let x = {
                let mut x = Memory::dense(dtype, &[rows, width]);
                x.places().into_iter().for_each(|place| x.set(place, (place % 13) as f64));
                x
            };
            let mut index = Memory::dense(DType::I32, &[3, 5]);
            let places: Vec<usize> = (0..15).map(|_| random.below(rows)).collect();
            places.iter().enumerate().for_each(|(at, &row)| index.set(at as isize, row as f64));
            let out = run(&Take, dtype, &[3, 5, width], &[&x, &index]).unwrap();
            let values = x.values();
            let wanted: Vec<f64> =
                places.iter().flat_map(|&row| values[row * width..(row + 1) * width].to_vec()).collect();
            assert_values(isa, &Take, &out, &wanted, &[&x, &index]);
            let back = run(&TakeBackward, dtype, &[rows, width], &[&out, &index]).unwrap();
            let times = |row: usize| places.iter().filter(|&&place| place == row).count() as f64;
            let wanted: Vec<f64> =
                values.iter().enumerate().map(|(at, value)| value * times(at / width)).collect();
            assert_values(isa, &TakeBackward, &back, &wanted, &[&out, &index]);
        }
    });
}

#[test]
fn an_index_out_of_range_is_named_with_the_size() {
    let x = Memory::dense(DType::F32, &[4, 2]);
    let mut index = Memory::dense(DType::I64, &[1, 2]);
    index.set(0, 0.0);
    index.set(1, 4.0);
    let error = run(&Gather { axis: 0 }, DType::F32, &[1, 2], &[&x, &index]).err().unwrap();
    assert!(matches!(error, KernelError::Index(_)));
    assert!(error.to_string().contains("index 4") && error.to_string().contains("4 elements"), "{error}");
}
