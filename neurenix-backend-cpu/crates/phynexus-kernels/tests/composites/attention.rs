use phynexus_kernels::DType;
use phynexus_kernels::attention::ScaledDotProductAttention;

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, run};

/// `mask` says of (head, query, key) what is added to the score.
fn reference(
    [query, key, value]: [&[f64]; 3],
    [heads, queries, keys, depth, features]: [usize; 5],
    scale: f64,
    mask: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let mut out = vec![0.0; heads * queries * features];
    for (head, t) in (0..heads).flat_map(|head| (0..queries).map(move |t| (head, t))) {
        let q = &query[(head * queries + t) * depth..][..depth];
        let scores: Vec<f64> = (0..keys)
            .map(|s| {
                let k = &key[(head * keys + s) * depth..][..depth];
                q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() * scale + mask(head, t, s)
            })
            .collect();
        let max = scores.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
        if max == f64::NEG_INFINITY {
            continue;
        }
        let total: f64 = scores.iter().map(|x| (x - max).exp()).sum();
        for (s, score) in scores.iter().enumerate() {
            let weight = (score - max).exp() / total;
            for j in 0..features {
                out[(head * queries + t) * features + j] += weight * value[(head * keys + s) * features + j];
            }
        }
    }
    out
}

#[test]
fn attention_is_right_with_every_mask() {
    let mut rng = Rng::new(14);
    for turn in 0..48 {
        let dtype = FLOATS[turn % 4];
        let (batch, heads) = (rng.size(1, 3), rng.size(1, 3));
        let [mut queries, mut keys] = [rng.size(1, 40), rng.size(1, 50)];
        let [depth, features] = [rng.size(1, 20), rng.size(1, 20)];
        if turn < 4 {
            (queries, keys) = (130, 1100); // several blocks of queries
        }
        let mut random =
            |length: usize, width: usize| Array::random(&mut rng, dtype, &[batch, heads, length, width]);
        let (query, key, value) = (random(queries, depth), random(keys, depth), random(keys, features));
        let is_causal = turn % 3 == 1;
        // None; a row of bools for each sample; a bool or a float for each pair.
        let mask = match turn % 4 {
            0 => None,
            1 => {
                let sizes = [batch, 1, 1, keys];
                Some(Array::new(DType::Bool, &sizes, (0..batch * keys).map(|_| rng.size(0, 1) as f64)))
            }
            2 => {
                let sizes = [queries, keys];
                // The first query may attend to nothing.
                let values: Vec<f64> =
                    (0..queries * keys).map(|i| if i < keys { 0.0 } else { rng.size(0, 1) as f64 }).collect();
                Some(Array::new(DType::Bool, &sizes, values))
            }
            _ => Some(Array::random(&mut rng, dtype, &[queries, keys])),
        };
        let scale = [0.5, -0.25][turn / 4 % 2];
        let values = mask.as_ref().map(Array::values);
        let added = |head: usize, t: usize, s: usize| {
            if is_causal && s > t {
                return f64::NEG_INFINITY;
            }
            match (&mask, &values) {
                (Some(mask), Some(values)) => {
                    let at = if mask.sizes.len() == 4 { head / heads * keys + s } else { t * keys + s };
                    match mask.dtype {
                        DType::Bool if values[at] == 0.0 => f64::NEG_INFINITY,
                        DType::Bool => 0.0,
                        _ => values[at],
                    }
                }
                _ => 0.0,
            }
        };
        let wanted = reference(
            [&query.values(), &key.values(), &value.values()],
            [batch * heads, queries, keys, depth, features],
            scale,
            added,
        );
        let op = ScaledDotProductAttention { is_causal, scale };
        let meta: (DType, &[usize]) = (dtype, &[batch, heads, queries, features]);
        let inputs = [Some(&query), Some(&key), Some(&value), mask.as_ref()];
        let result = run(&op, &[meta], &inputs);
        close("attention", &result[0].values(), &wanted, dtype);
        let by_sample = mask.as_ref().is_some_and(|mask| mask.sizes.len() == 4);
        batch_invariant(&op, &[meta], &inputs, &[true, true, true, by_sample], &result);
    }
}

#[test]
fn without_keys_the_result_is_zero() {
    let (query, none) = (Array::new(DType::F32, &[2, 3], [1.0; 6]), Array::new(DType::F32, &[0, 3], []));
    let op = ScaledDotProductAttention { is_causal: false, scale: 1.0 };
    let found = run(&op, &[(DType::F32, &[2, 3])], &[Some(&query), Some(&none), Some(&none), None]);
    assert_eq!(found[0].values(), [0.0; 6]);
}
