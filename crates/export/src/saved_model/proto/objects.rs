//! The objects that `tf.saved_model.load` makes; tensorflow/core/protobuf/{saved_object_graph,trackable_object_graph,struct}.proto.

use std::collections::BTreeMap;

use prost::Message;

use super::{DataType, TensorShapeProto, VersionDef};

/// Objects, the first the one that is loaded.
#[derive(Clone, PartialEq, Message)]
pub struct SavedObjectGraph {
    /// By number.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<SavedObject>,
    /// Functions, by the name in the graph's library.
    #[prost(btree_map = "string, message", tag = "2")]
    pub concrete_functions: BTreeMap<String, SavedConcreteFunction>,
}

/// An object.
#[derive(Clone, PartialEq, Message)]
pub struct SavedObject {
    /// Its attributes.
    #[prost(message, repeated, tag = "1")]
    pub children: Vec<ObjectReference>,
    /// What it is.
    #[prost(oneof = "Kind", tags = "4, 6, 7, 8")]
    pub kind: Option<Kind>,
}

/// Kinds of [`SavedObject`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// With attributes alone.
    #[prost(message, tag = "4")]
    UserObject(SavedUserObject),
    /// Can be called; it chooses among functions.
    #[prost(message, tag = "6")]
    Function(SavedFunction),
    /// A variable.
    #[prost(message, tag = "7")]
    Variable(SavedVariable),
    /// One function.
    #[prost(message, tag = "8")]
    BareConcreteFunction(SavedBareConcreteFunction),
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub struct ObjectReference {
    /// Number of the object.
    #[prost(int32, tag = "1")]
    pub node_id: i32,
    /// Name of the attribute.
    #[prost(string, tag = "2")]
    pub local_name: String,
}

/// An object of a known type.
#[derive(Clone, PartialEq, Message)]
pub struct SavedUserObject {
    /// The type.
    #[prost(string, tag = "1")]
    pub identifier: String,
    /// Of the type.
    #[prost(message, optional, tag = "2")]
    pub version: Option<VersionDef>,
}

/// Something that chooses among functions.
#[derive(Clone, PartialEq, Message)]
pub struct SavedFunction {
    /// Names in the library.
    #[prost(string, repeated, tag = "1")]
    pub concrete_functions: Vec<String>,
    /// How it is called.
    #[prost(message, optional, tag = "2")]
    pub function_spec: Option<FunctionSpec>,
}

/// How a function of Python is called.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionSpec {
    /// What `inspect.getfullargspec` would give.
    #[prost(message, optional, tag = "1")]
    pub fullargspec: Option<StructuredValue>,
    /// None: any types.
    #[prost(message, optional, tag = "5")]
    pub input_signature: Option<StructuredValue>,
}

/// A variable.
#[derive(Clone, PartialEq, Message)]
pub struct SavedVariable {
    /// The type of its elements.
    #[prost(enumeration = "DataType", tag = "1")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
    /// Gradients go to it.
    #[prost(bool, tag = "3")]
    pub trainable: bool,
    /// Its name.
    #[prost(string, tag = "6")]
    pub name: String,
}

/// One function.
#[derive(Clone, PartialEq, Message)]
pub struct SavedBareConcreteFunction {
    /// Name in the library.
    #[prost(string, tag = "1")]
    pub concrete_function_name: String,
    /// Its arguments.
    #[prost(string, repeated, tag = "2")]
    pub argument_keywords: Vec<String>,
    /// How many may be given without a name.
    #[prost(int64, tag = "3")]
    pub allowed_positional_arguments: i64,
    /// How it is called.
    #[prost(message, optional, tag = "4")]
    pub function_spec: Option<FunctionSpec>,
}

/// What a function takes and gives.
#[derive(Clone, PartialEq, Message)]
pub struct SavedConcreteFunction {
    /// Variables that are its last arguments.
    #[prost(int32, repeated, tag = "2")]
    pub bound_inputs: Vec<i32>,
    /// The arguments, those without names and those with.
    #[prost(message, optional, tag = "3")]
    pub canonicalized_input_signature: Option<StructuredValue>,
    /// The results.
    #[prost(message, optional, tag = "4")]
    pub output_signature: Option<StructuredValue>,
}

/// A value of Python.
#[derive(Clone, PartialEq, Message)]
pub struct StructuredValue {
    /// Which.
    #[prost(oneof = "Structured", tags = "1, 13, 33, 51, 52, 53, 54")]
    pub kind: Option<Structured>,
}

/// Kinds of [`StructuredValue`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Structured {
    /// None
    #[prost(message, tag = "1")]
    None(NoneValue),
    /// str
    #[prost(string, tag = "13")]
    Text(String),
    /// tf.TensorSpec
    #[prost(message, tag = "33")]
    TensorSpec(TensorSpecProto),
    /// list
    #[prost(message, tag = "51")]
    List(Values),
    /// tuple
    #[prost(message, tag = "52")]
    Tuple(Values),
    /// dict
    #[prost(message, tag = "53")]
    Dict(DictValue),
    /// collections.namedtuple
    #[prost(message, tag = "54")]
    NamedTuple(NamedTupleValue),
}

/// None
#[derive(Clone, PartialEq, Message)]
pub struct NoneValue {}

/// Values of a list or tuple.
#[derive(Clone, PartialEq, Message)]
pub struct Values {
    /// In their order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<StructuredValue>,
}

/// Values by their names.
#[derive(Clone, PartialEq, Message)]
pub struct DictValue {
    /// In any order.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, StructuredValue>,
}

/// Values in their order, with names.
#[derive(Clone, PartialEq, Message)]
pub struct NamedTupleValue {
    /// Name of the type.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Values.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PairValue>,
}

/// A value with its name.
#[derive(Clone, PartialEq, Message)]
pub struct PairValue {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<StructuredValue>,
}

/// Name, shape and type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorSpecProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
    /// The type of its elements.
    #[prost(enumeration = "DataType", tag = "3")]
    pub dtype: i32,
}

/// The same objects as the files of the variables know them.
#[derive(Clone, PartialEq, Message)]
pub struct TrackableObjectGraph {
    /// By number.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<TrackableObject>,
}

/// An object.
#[derive(Clone, PartialEq, Message)]
pub struct TrackableObject {
    /// Its attributes that are objects.
    #[prost(message, repeated, tag = "1")]
    pub children: Vec<ObjectReference>,
    /// Its attributes that are tensors.
    #[prost(message, repeated, tag = "2")]
    pub attributes: Vec<SerializedTensor>,
}

/// A tensor in the files.
#[derive(Clone, PartialEq, Message)]
pub struct SerializedTensor {
    /// VARIABLE_VALUE
    #[prost(string, tag = "1")]
    pub name: String,
    /// Name of the variable.
    #[prost(string, tag = "2")]
    pub full_name: String,
    /// Name of the tensor in the files.
    #[prost(string, tag = "3")]
    pub checkpoint_key: String,
}

impl From<Structured> for StructuredValue {
    fn from(kind: Structured) -> Self {
        Self { kind: Some(kind) }
    }
}
