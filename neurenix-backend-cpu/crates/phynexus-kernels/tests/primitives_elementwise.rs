//! Elementwise ops, movement and random bits on random shapes, strides, offsets and dtypes, on every instruction set, beside
//! plain loops over f64.

#[path = "primitives/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "primitives/running.rs"]
#[allow(dead_code)]
mod running;

use memory::{Memory, Random, rounded, same};
use phynexus_kernels::elementwise::{Binary, Cast, Comparison, LogicalNot, Unary, Where};
use phynexus_kernels::movement::{Copy, Fill, Iota, Scalar};
use phynexus_kernels::random::RandomBits;
use phynexus_kernels::{Axes, DType, KernelError, Operation};
use running::{ALL, assert_values, numbers, on_all, run};

/// A shape that broadcasts to another: some axes of size 1, some left out at the front.
fn part_of(random: &mut Random, sizes: &[usize]) -> Vec<usize> {
    let start = if random.below(3) == 0 { random.below(sizes.len() + 1) } else { 0 };
    sizes[start..].iter().map(|&size| if random.below(4) == 0 { 1 } else { size }).collect()
}

#[test]
fn binary_ops_are_those_of_f64() {
    type Function = fn(f64, f64) -> f64;
    let functions: [(Binary, Function); 5] = [
        (Binary::Add, |x, y| x + y),
        (Binary::Sub, |x, y| x - y),
        (Binary::Mul, |x, y| x * y),
        (Binary::Maximum, |x, y| if x > y || x.is_nan() { x } else { y }),
        (Binary::Minimum, |x, y| if x < y || x.is_nan() { x } else { y }),
    ];
    on_all(|isa| {
        let mut random = Random::new(1);
        for round in 0..300 {
            let (op, function) = functions[round % functions.len()];
            let dtype = ALL[random.below(ALL.len())];
            if dtype == DType::Bool && op == Binary::Sub {
                continue;
            }
            let sizes = random.shape();
            let (left, right) = (part_of(&mut random, &sizes), part_of(&mut random, &sizes));
            let x = Memory::random(&mut random, dtype, &left, true);
            let y = Memory::random(&mut random, dtype, &right, true);
            // What the two make together.
            let rank = left.len().max(right.len());
            let at = |shape: &[usize], axis: usize| {
                if axis + shape.len() < rank { 1 } else { shape[axis + shape.len() - rank] }
            };
            let sizes: Vec<usize> = (0..rank)
                .map(|axis| match (at(&left, axis), at(&right, axis)) {
                    (1, size) | (size, _) => size,
                })
                .collect();
            let wanted = x.broadcast(&sizes).into_iter().zip(y.broadcast(&sizes));
            let wanted = rounded(dtype, wanted.map(|(x, y)| function(x, y)));
            let out = run(&op, dtype, &sizes, &[&x, &y]).unwrap();
            assert_values(isa, &op, &out, &wanted, &[&x, &y]);
            let compared = run(&Comparison::Gt, DType::Bool, &sizes, &[&x, &y]).unwrap();
            let wanted = x.broadcast(&sizes).into_iter().zip(y.broadcast(&sizes));
            let wanted: Vec<f64> = wanted.map(|(x, y)| f64::from(u8::from(x > y))).collect();
            assert_values(isa, &Comparison::Gt, &compared, &wanted, &[&x, &y]);
        }
    });
}

#[test]
fn unary_ops_and_casts_are_those_of_f64() {
    type Function = fn(f64) -> f64;
    let functions: [(Unary, Function); 6] = [
        (Unary::Abs, f64::abs),
        (Unary::Floor, f64::floor),
        (Unary::Ceil, f64::ceil),
        (Unary::Round, f64::round_ties_even),
        (Unary::Relu, |x| if x < 0.0 { 0.0 } else { x }),
        (Unary::Sign, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x
            }
        }),
    ];
    on_all(|isa| {
        let mut random = Random::new(2);
        for round in 0..300 {
            let (op, function) = functions[round % functions.len()];
            let dtype = ALL[random.below(ALL.len())];
            let sizes = random.shape();
            let x = Memory::random(&mut random, dtype, &sizes, true);
            if dtype != DType::Bool || op != Unary::Sign {
                let wanted = rounded(dtype, x.values().into_iter().map(function));
                assert_values(isa, &op, &run(&op, dtype, &sizes, &[&x]).unwrap(), &wanted, &[&x]);
            }
            let inverse: Vec<f64> = x.values().iter().map(|&x| f64::from(u8::from(x == 0.0))).collect();
            let out = run(&LogicalNot, DType::Bool, &sizes, &[&x]).unwrap();
            assert_values(isa, &LogicalNot, &out, &inverse, &[&x]);
            let to = ALL[random.below(ALL.len())];
            let values: Vec<f64> = x
                .values()
                .into_iter()
                .map(|x| if to.is_float() || x.is_finite() { x } else { 0.0 })
                .collect();
            if same(&values, &x.values()) && (to != DType::U8 || values.iter().all(|&x| x >= 0.0)) {
                let wanted = if to.is_float() || to == DType::Bool {
                    rounded(to, values)
                } else {
                    rounded(to, values.into_iter().map(f64::trunc))
                };
                assert_values(isa, &Cast, &run(&Cast, to, &sizes, &[&x]).unwrap(), &wanted, &[&x]);
            }
        }
    });
}

#[test]
fn functions_of_halves_and_strides_are_those_of_single_floats() {
    on_all(|isa| {
        let mut random = Random::new(3);
        for op in [Unary::Exp, Unary::Tanh, Unary::Erf, Unary::Sigmoid, Unary::Silu, Unary::LeakyRelu(0.25)] {
            for dtype in [DType::F16, DType::Bf16, DType::F32] {
                let sizes = random.shape();
                let x = Memory::random(&mut random, dtype, &sizes, true);
                let mut single = Memory::dense(DType::F32, &sizes);
                for (place, value) in x.values().into_iter().enumerate() {
                    single.set(place as isize, value);
                }
                let wanted = run(&op, DType::F32, &sizes, &[&single]).unwrap();
                let wanted = rounded(dtype, wanted.values());
                assert_values(isa, &op, &run(&op, dtype, &sizes, &[&x]).unwrap(), &wanted, &[&x]);
            }
        }
    });
}

#[test]
fn choices_and_copies_move_any_element() {
    on_all(|isa| {
        let mut random = Random::new(4);
        for _ in 0..200 {
            let dtype = ALL[random.below(ALL.len())];
            let sizes = random.shape();
            let x = Memory::random(&mut random, dtype, &sizes, true);
            assert_values(isa, &Copy, &run(&Copy, dtype, &sizes, &[&x]).unwrap(), &x.values(), &[&x]);
            let (one, other) = (part_of(&mut random, &sizes), part_of(&mut random, &sizes));
            let condition = Memory::random(&mut random, DType::Bool, &one, true);
            let y = Memory::random(&mut random, dtype, &other, true);
            let pairs = x.values().into_iter().zip(y.broadcast(&sizes));
            let wanted: Vec<f64> = condition
                .broadcast(&sizes)
                .into_iter()
                .zip(pairs)
                .map(|(is_first, (x, y))| if is_first != 0.0 { x } else { y })
                .collect();
            let out = run(&Where, dtype, &sizes, &[&condition, &x, &y]).unwrap();
            assert_values(isa, &Where, &out, &wanted, &[&condition, &x, &y]);
            // Into memory of any strides.
            let mut strided = Memory::random(&mut random, dtype, &sizes, false);
            let places = strided.places();
            Copy.run(&[strided.output()], &[x.input()]).unwrap();
            let found: Vec<f64> = places.into_iter().map(|place| strided.get(place)).collect();
            assert!(same(&found, &x.values()), "copy on {isa} to {:?}", strided.axes);
        }
    });
}

#[test]
fn an_op_may_write_into_its_input() {
    on_all(|isa| {
        let mut random = Random::new(5);
        for dtype in ALL {
            for length in [1, 15, 129, 5000] {
                let mut x = Memory::random(&mut random, dtype, &[length, 3], false);
                let y = Memory::random(&mut random, dtype, &[3], false);
                let wanted: Vec<f64> =
                    x.values().into_iter().zip(y.broadcast(&[length, 3])).map(|(x, y)| x.max(y)).collect();
                if wanted.iter().chain(&x.values()).chain(&y.values()).any(|value| value.is_nan()) {
                    continue;
                }
                let output = x.output();
                Binary::Maximum.run(&[output], &[Some(output.as_ref()), y.input()]).unwrap();
                assert!(same(&x.values(), &wanted), "maximum in place of {dtype} on {isa}, {length} rows");
            }
        }
    });
}

#[test]
fn negative_powers_of_integers_are_refused() {
    let mut x = Memory::dense(DType::I32, &[2]);
    x.set(0, 2.0);
    x.set(1, 3.0);
    let mut y = Memory::dense(DType::I32, &[2]);
    y.set(0, 3.0);
    y.set(1, 2.0);
    assert_eq!(run(&Binary::Pow, DType::I32, &[2], &[&x, &y]).unwrap().values(), [8.0, 9.0]);
    y.set(1, -1.0);
    assert!(matches!(run(&Binary::Pow, DType::I32, &[2], &[&x, &y]), Err(KernelError::Value(_))));
}

#[test]
fn filled_and_counted_numbers_are_exact() {
    for dtype in ALL {
        let fill = Fill { value: Scalar::Integer(1) };
        assert_eq!(run(&fill, dtype, &[1001], &[]).unwrap().values(), [1.0; 1001]);
        if dtype != DType::Bool {
            let iota = Iota { start: Scalar::Integer(9), step: Scalar::Integer(-3) };
            assert_eq!(run(&iota, dtype, &[4], &[]).unwrap().values(), [9.0, 6.0, 3.0, 0.0]);
        }
    }
    let iota = Iota { start: Scalar::Float(0.5), step: Scalar::Float(-0.25) };
    assert_eq!(run(&iota, DType::F32, &[3], &[]).unwrap().values(), [0.5, 0.25, 0.0]);
}

#[test]
fn random_bits_are_those_of_threefry() {
    // The known answers of the paper's authors for 20 rounds: key and counter of zeros, of ones.
    let known = [([0, 0, 0], [0x6b20_0159_u32, 0x99ba_4efe])];
    on_all(|isa| {
        for (words, wanted) in known {
            let mut key = Memory::dense(DType::I32, &[3]);
            words
                .iter()
                .enumerate()
                .for_each(|(at, &word): (usize, &i32)| key.set(at as isize, f64::from(word)));
            let long = run(&RandomBits, DType::I32, &[50_001], &[&key]).unwrap().values();
            let first: Vec<u32> = long[..2].iter().map(|&word| word as i32 as u32).collect();
            assert_eq!(first, wanted, "{isa}");
            let short = run(&RandomBits, DType::I32, &[5], &[&key]).unwrap().values();
            assert_eq!(short, long[..5], "{isa}: a longer stream starts otherwise");
        }
    });
}

#[test]
fn large_tensors_do_not_depend_on_threads() {
    on_all(|isa| {
        let x = numbers(DType::F32, &[500, 300]);
        let turned = Memory::with_axes(DType::F32, Axes::new(&[500, 300], &[1, 500]).unwrap());
        let mut y = turned;
        y.places().into_iter().for_each(|place| y.set(place, (place % 97) as f64));
        let threads = phynexus_runtime::threads();
        let found: Vec<Vec<f64>> = [1, 2]
            .into_iter()
            .map(|count| {
                phynexus_runtime::set_threads(count).unwrap();
                run(&Binary::Add, DType::F32, &[500, 300], &[&x, &y]).unwrap().values()
            })
            .collect();
        phynexus_runtime::set_threads(threads).unwrap();
        let wanted = rounded(DType::F32, x.values().into_iter().zip(y.values()).map(|(x, y)| x + y));
        assert!(same(&found[0], &wanted) && same(&found[1], &wanted), "{isa}");
    });
}
