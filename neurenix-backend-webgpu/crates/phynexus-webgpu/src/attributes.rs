//! The attributes of an op's call.

use crate::dtype::DType;
use crate::error::{Error, Result};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// A truth.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A word.
    Text(String),
    /// An element type.
    DType(DType),
    /// Several values.
    List(Vec<Value>),
}

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    values: Vec<(String, Value)>,
}

impl Attributes {
    /// No attributes.
    pub const fn new() -> Self {
        Self { values: Vec::new() }
    }

    /// Adds one.
    pub fn add(&mut self, name: impl Into<String>, value: Value) {
        self.values.push((name.into(), value));
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// It is missing.
    pub fn get(&self, name: &str) -> Result<&Value> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value)
            .ok_or_else(|| Error::Value(format!("the attribute {name:?} is missing")))
    }

    /// A truth.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn bool(&self, name: &str) -> Result<bool> {
        match self.get(name)? {
            Value::Bool(value) => Ok(*value),
            other => Err(wrong(name, "a truth", other)),
        }
    }

    /// An integer that is not negative.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn size(&self, name: &str) -> Result<usize> {
        size_of(self.get(name)?).ok_or_else(|| wrong(name, "a size", &Value::None))
    }

    /// Several integers that are not negative; of one integer, that one.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn sizes(&self, name: &str) -> Result<Vec<usize>> {
        let value = self.get(name)?;
        let sizes = match value {
            Value::List(values) => values.iter().map(size_of).collect(),
            one => size_of(one).map(|size| vec![size]),
        };
        sizes.ok_or_else(|| wrong(name, "sizes", value))
    }

    /// A number as a float.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.get(name)? {
            Value::Float(value) => Ok(*value),
            Value::Int(value) => Ok(*value as f64),
            Value::Bool(value) => Ok(f64::from(u8::from(*value))),
            other => Err(wrong(name, "a number", other)),
        }
    }

    /// A word.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.get(name)? {
            Value::Text(value) => Ok(value),
            other => Err(wrong(name, "a word", other)),
        }
    }
}

fn size_of(value: &Value) -> Option<usize> {
    match value {
        Value::Int(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

fn wrong(name: &str, wanted: &str, found: &Value) -> Error {
    Error::Value(format!("the attribute {name:?} is {found:?}, and should be {wanted}"))
}
