//! The composite ops against naive references in f64, over random shapes; and that their bits
//! depend neither on the instruction set, nor on threads, nor on the batch.

mod attention;
mod checksums;
mod convolution;
mod movement;
mod norms;
mod optimizers;
mod pooling;
mod products;
mod softmax;
mod support;
