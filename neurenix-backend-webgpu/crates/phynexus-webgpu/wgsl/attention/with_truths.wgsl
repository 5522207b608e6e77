
fn any_score(score: f32, place: u32) -> f32 { return score; }

fn true_key(place: u32) -> bool { return mask_at(params.mask_offset + mask_place(place)) != 0i; }
