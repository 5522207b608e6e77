//! The operations of the kernels' crate, by the ops' names and attributes.

use phynexus_kernels::Operation;
use phynexus_kernels::adaptive_avg_pool2d::{AdaptiveAvgPool2d, AdaptiveAvgPool2dBackward};
use phynexus_kernels::attention::ScaledDotProductAttention;
use phynexus_kernels::avg_pool2d::{AvgPool2d, AvgPool2dBackward};
use phynexus_kernels::batch_norm::{BatchNormInference, BatchNormTrain};
use phynexus_kernels::batch_norm_backward::BatchNormBackward;
use phynexus_kernels::concat::Concat;
use phynexus_kernels::cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyBackward};
use phynexus_kernels::elementwise::{Binary, Cast, Comparison, LogicalNot, Unary, Where};
use phynexus_kernels::gelu::Gelu;
use phynexus_kernels::indexing::{Gather, Put, Scatter, ScatterAdd, Take, TakeBackward};
use phynexus_kernels::layer_norm::LayerNorm;
use phynexus_kernels::layer_norm_backward::LayerNormBackward;
use phynexus_kernels::matmul::{Linear, Matmul};
use phynexus_kernels::max_pool2d::MaxPool2d;
use phynexus_kernels::max_pool2d_backward::MaxPool2dBackward;
use phynexus_kernels::movement::{Copy, Fill, Iota, Scalar};
use phynexus_kernels::optimizer::{AdamStep, SgdMomentumStep, SgdStep};
use phynexus_kernels::pad::Pad;
use phynexus_kernels::pool_windows::Windows;
use phynexus_kernels::random::RandomBits;
use phynexus_kernels::reduce::{Reduce, Reduction};
use phynexus_kernels::running_average::RunningAverage;
use phynexus_kernels::softmax::{LogSoftmax, LogSoftmaxBackward, Softmax, SoftmaxBackward};
use phynexus_kernels::sort::{Sort, TopK};

use crate::{Attribute, Attributes, Registry};

/// All operations of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Registry for Native {
    fn operation(&self, op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
        normalization(op, attributes)
            .or_else(|| losses(op, attributes))
            .or_else(|| optimizers(op, attributes))
            .or_else(|| movement(op, attributes))
            .or_else(|| elementwise(op, attributes))
            .or_else(|| reductions(op, attributes))
            .or_else(|| pools(op, attributes))
            .or_else(|| indexing(op, attributes))
    }
}

fn boxed(operation: impl Operation + 'static) -> Option<Box<dyn Operation>> {
    Some(Box::new(operation))
}

fn movement(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let scalar = |name: &str| match attributes.get(name)? {
        Attribute::Int(value) => Some(Scalar::Integer(*value)),
        Attribute::Bool(value) => Some(Scalar::Integer(i64::from(*value))),
        Attribute::Float(value) => Some(Scalar::Float(*value)),
        _ => None,
    };
    match op {
        "copy" => boxed(Copy),
        "fill" => boxed(Fill { value: scalar("value")? }),
        "pad" => boxed(Pad {
            before: attributes.pairs("widths")?.into_iter().map(|(before, _)| before).collect(),
            between: attributes.sizes("interior")?,
            value: scalar("value")?,
        }),
        "concat" => boxed(Concat { axis: attributes.size("axis")? }),
        "iota" => boxed(Iota { start: scalar("start")?, step: scalar("step")? }),
        _ => None,
    }
}

fn elementwise(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    match op {
        "neg" => boxed(Unary::Neg),
        "sign" => boxed(Unary::Sign),
        "abs" => boxed(Unary::Abs),
        "exp" => boxed(Unary::Exp),
        "log" => boxed(Unary::Log),
        "sqrt" => boxed(Unary::Sqrt),
        "sin" => boxed(Unary::Sin),
        "cos" => boxed(Unary::Cos),
        "tanh" => boxed(Unary::Tanh),
        "erf" => boxed(Unary::Erf),
        "floor" => boxed(Unary::Floor),
        "ceil" => boxed(Unary::Ceil),
        "round" => boxed(Unary::Round),
        "relu" => boxed(Unary::Relu),
        "sigmoid" => boxed(Unary::Sigmoid),
        "silu" => boxed(Unary::Silu),
        "leaky_relu" => boxed(Unary::LeakyRelu(attributes.float("negative_slope")?)),
        "add" => boxed(Binary::Add),
        "sub" => boxed(Binary::Sub),
        "mul" => boxed(Binary::Mul),
        "div" => boxed(Binary::Div),
        "floor_div" => boxed(Binary::FloorDiv),
        "mod" => boxed(Binary::Mod),
        "pow" => boxed(Binary::Pow),
        "maximum" => boxed(Binary::Maximum),
        "minimum" => boxed(Binary::Minimum),
        "bitwise_and" => boxed(Binary::BitwiseAnd),
        "bitwise_or" => boxed(Binary::BitwiseOr),
        "bitwise_xor" => boxed(Binary::BitwiseXor),
        "shift_right" => boxed(Binary::ShiftRight),
        "eq" => boxed(Comparison::Eq),
        "ne" => boxed(Comparison::Ne),
        "lt" => boxed(Comparison::Lt),
        "le" => boxed(Comparison::Le),
        "gt" => boxed(Comparison::Gt),
        "ge" => boxed(Comparison::Ge),
        "logical_not" => boxed(LogicalNot),
        "where" => boxed(Where),
        "cast" => boxed(Cast),
        "matmul" => boxed(Matmul),
        "linear" => boxed(Linear),
        _ => None,
    }
}

fn reductions(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let reduction = match op {
        "sum" => Reduction::Sum,
        "prod" => Reduction::Prod,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        "argmax" => Reduction::ArgMax,
        "argmin" => Reduction::ArgMin,
        _ => return None,
    };
    boxed(Reduce::over(reduction, attributes.sizes("axes")?))
}

fn pools(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let windows = |dilation: [usize; 2]| -> Option<[Windows; 2]> {
        let (kernel, stride) = (attributes.pair("kernel_size")?, attributes.pair("stride")?);
        let before = attributes.border("padding")?.map(|(before, _)| before);
        Some(std::array::from_fn(|axis| Windows {
            kernel: kernel[axis],
            stride: stride[axis],
            before: before[axis],
            dilation: dilation[axis],
        }))
    };
    let count_include_pad = || attributes.bool("count_include_pad");
    match op {
        "max_pool2d" => boxed(MaxPool2d { windows: windows(attributes.pair("dilation")?)? }),
        "max_pool2d_backward" => boxed(MaxPool2dBackward),
        "avg_pool2d" => {
            boxed(AvgPool2d { windows: windows([1, 1])?, count_include_pad: count_include_pad()? })
        }
        "avg_pool2d_backward" => {
            boxed(AvgPool2dBackward { windows: windows([1, 1])?, count_include_pad: count_include_pad()? })
        }
        "adaptive_avg_pool2d" => boxed(AdaptiveAvgPool2d),
        "adaptive_avg_pool2d_backward" => boxed(AdaptiveAvgPool2dBackward),
        _ => None,
    }
}

fn indexing(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let axis = || attributes.size("axis");
    match op {
        "gather" => boxed(Gather { axis: axis()? }),
        "scatter" => boxed(Scatter { axis: axis()? }),
        "scatter_add" => boxed(ScatterAdd { axis: axis()? }),
        "put" => boxed(Put),
        "take" => boxed(Take),
        "take_backward" => boxed(TakeBackward),
        "random_bits" => boxed(RandomBits),
        "sort" => boxed(Sort { axis: axis()?, descending: attributes.bool("descending")? }),
        "topk" => boxed(TopK { axis: axis()?, largest: attributes.bool("largest")? }),
        "scaled_dot_product_attention" => boxed(ScaledDotProductAttention {
            is_causal: attributes.bool("is_causal")?,
            scale: attributes.float("scale")?,
        }),
        _ => None,
    }
}

fn normalization(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let eps = || attributes.float("eps");
    match op {
        "batch_norm_train" => boxed(BatchNormTrain { eps: eps()? }),
        "batch_norm_inference" => boxed(BatchNormInference { eps: eps()? }),
        "batch_norm_backward" => boxed(BatchNormBackward),
        "running_average" => boxed(RunningAverage { momentum: attributes.float("momentum")? }),
        "layer_norm" => boxed(LayerNorm { axes: attributes.size("axes")?, eps: eps()? }),
        "layer_norm_backward" => boxed(LayerNormBackward { axes: attributes.size("axes")? }),
        _ => None,
    }
}

fn losses(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let axis = || attributes.size("axis");
    match op {
        "softmax" => boxed(Softmax { axis: axis()? }),
        "log_softmax" => boxed(LogSoftmax { axis: axis()? }),
        "softmax_backward" => boxed(SoftmaxBackward { axis: axis()? }),
        "log_softmax_backward" => boxed(LogSoftmaxBackward { axis: axis()? }),
        "softmax_cross_entropy" => boxed(SoftmaxCrossEntropy),
        "softmax_cross_entropy_backward" => boxed(SoftmaxCrossEntropyBackward),
        "gelu" => boxed(Gelu {
            by_tanh: match attributes.text("approximate")? {
                "none" => false,
                "tanh" => true,
                _ => return None,
            },
        }),
        _ => None,
    }
}

fn optimizers(op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>> {
    let number = |name| attributes.float(name);
    match op {
        "sgd_step" => boxed(SgdStep { weight_decay: number("weight_decay")? }),
        "sgd_momentum_step" => boxed(SgdMomentumStep {
            momentum: number("momentum")?,
            dampening: number("dampening")?,
            nesterov: attributes.bool("nesterov")?,
            weight_decay: number("weight_decay")?,
            first_step: attributes.bool("first_step")?,
        }),
        "adam_step" => boxed(AdamStep {
            beta1: number("beta1")?,
            beta2: number("beta2")?,
            eps: number("eps")?,
            weight_decay: number("weight_decay")?,
            decoupled: attributes.bool("decoupled")?,
        }),
        _ => None,
    }
}
