
// Threefry-2x32 with 20 rounds: elements 2i and 2i + 1 are the words of the counter (i, draw).
//
// Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
const DISTANCES: array<u32, 8> = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);

fn element(i: u32) -> Out {
    let counter = (params.first + i) / 2u;
    let key_0 = bitcast<u32>(key_at(params.key_offset));
    let key_1 = bitcast<u32>(key_at(params.key_offset + params.step));
    let draw = bitcast<u32>(key_at(params.key_offset + 2u * params.step));
    var keys = array<u32, 3>(key_0, key_1, 0x1bd11bdau ^ key_0 ^ key_1);
    var distances = DISTANCES;
    var a = counter + keys[0];
    var b = draw + keys[1];
    for (var turn = 0u; turn < 20u; turn++) {
        let distance = distances[turn % 8u];
        a += b;
        b = ((b << distance) | (b >> (32u - distance))) ^ a;
        if (turn % 4u == 3u) {
            let group = turn / 4u + 1u;
            a += keys[group % 3u];
            b += keys[(group + 1u) % 3u] + group;
        }
    }
    return bitcast<i32>(select(a, b, ((params.first + i) & 1u) == 1u));
}
