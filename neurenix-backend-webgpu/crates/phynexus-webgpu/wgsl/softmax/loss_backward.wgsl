
// What each class is given less what it should be, times the gradient of the sample's loss.
fn element(i: u32) -> Out {
    let row = (params.first + i) / params.classes;
    let class_ = (params.first + i) % params.classes;
    let chosen = FUNCTION(target_at(params.target_offset + row)) == class_;
    return (exp_float(log_probs_load(i)) - select(0f, 1f, chosen)) * grad_at(params.grad_offset + row);
}

fn class_of_int(index: i32) -> u32 { return bitcast<u32>(index); }

fn class_of_long(index: vec2<u32>) -> u32 { return index.x; }
