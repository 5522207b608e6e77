
// Adds up the gradients that are listed for a pixel, in the order of their windows. A list is as long as
// there are windows that hold the pixel at most.
fn element(i: u32) -> Out {
    let last = bitcast<u32>(last_at(params.last_offset + params.first + i));
    var sum = Out();
    var done = 0u;
    while (true) {
        var least = 0xffffffffu;
        var number = last;
        while (number != 0u) {
            if (number > done) { least = min(least, number); }
            number = bitcast<u32>(next_at(params.next_offset + number - 1u));
        }
        if (least == 0xffffffffu) { break; }
        sum = FUNCTION(sum, grad_at(params.grad_offset + least - 1u));
        done = least;
    }
    return sum;
}
