
// Functions of one or two i32, which also serve 8 and 16 bits and bools.

fn add_int(x: i32, y: i32) -> i32 { return x + y; }

fn sub_int(x: i32, y: i32) -> i32 { return x - y; }

fn mul_int(x: i32, y: i32) -> i32 { return x * y; }

// Rounded down; 0 where y is 0.
fn floor_div_int(x: i32, y: i32) -> i32 {
    if (y == 0i) { return 0i; }
    if (y == -1i) { return -x; } // -2^31 wraps
    let quotient = x / y;
    return select(quotient, quotient - 1i, (x ^ y) < 0i && quotient * y != x);
}

// With the sign of y; 0 where y is 0.
fn mod_int(x: i32, y: i32) -> i32 {
    if (y == 0i || y == -1i) { return 0i; }
    let r = x - x / y * y;
    return select(r, r + y, r != 0i && (r ^ y) < 0i);
}

fn pow_int(x: i32, y: i32) -> i32 {
    if (y < 0i) { // 1 / x^-y, cut to an integer
        if (x == 1i) { return 1i; }
        if (x == -1i) { return select(1i, -1i, (y & 1i) == 1i); }
        return 0i;
    }
    var result = 1i;
    var factor = x;
    for (var left = y; left > 0i; left >>= 1u) {
        if ((left & 1i) == 1i) { result *= factor; }
        factor *= factor;
    }
    return result;
}

fn maximum_int(x: i32, y: i32) -> i32 { return max(x, y); }

fn minimum_int(x: i32, y: i32) -> i32 { return min(x, y); }

fn eq_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x == y); }

fn ne_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x != y); }

fn lt_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x < y); }

fn le_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x <= y); }

fn gt_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x > y); }

fn ge_int(x: i32, y: i32) -> i32 { return select(0i, 1i, x >= y); }

fn bitwise_and_int(x: i32, y: i32) -> i32 { return x & y; }

fn bitwise_or_int(x: i32, y: i32) -> i32 { return x | y; }

fn bitwise_xor_int(x: i32, y: i32) -> i32 { return x ^ y; }

// The sign is kept; more places than there are leave nothing but it.
fn shift_right_int(x: i32, y: i32) -> i32 { return x >> min(bitcast<u32>(y), 31u); }

fn neg_int(x: i32) -> i32 { return -x; }

fn abs_int(x: i32) -> i32 { return abs(x); }

fn sign_int(x: i32) -> i32 { return sign(x); }

fn floor_int(x: i32) -> i32 { return x; }

fn ceil_int(x: i32) -> i32 { return x; }

fn round_int(x: i32) -> i32 { return x; }

fn relu_int(x: i32) -> i32 { return max(x, 0i); }

fn logical_not_int(x: i32) -> i32 { return select(0i, 1i, x == 0i); }
