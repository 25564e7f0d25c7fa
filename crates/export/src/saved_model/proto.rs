//! The messages of TensorFlow that a saved model needs; numbers of fields and types are those of tensorflow/core/framework and
//! tensorflow/core/protobuf/{saved_model,meta_graph,saver}.proto. `objects`: those of the objects that a program loads.

pub mod objects;

use std::collections::BTreeMap;

use prost::Message;

use objects::SavedObjectGraph;

/// saved_model.pb
#[derive(Clone, PartialEq, Message)]
pub struct SavedModel {
    /// 1
    #[prost(int64, tag = "1")]
    pub saved_model_schema_version: i64,
    /// Here always one.
    #[prost(message, repeated, tag = "2")]
    pub meta_graphs: Vec<MetaGraphDef>,
}

/// A graph, how its variables are restored, what can be asked of it, and the same as objects.
#[derive(Clone, PartialEq, Message)]
pub struct MetaGraphDef {
    /// What it is for.
    #[prost(message, optional, tag = "1")]
    pub meta_info_def: Option<MetaInfoDef>,
    /// What is computed.
    #[prost(message, optional, tag = "2")]
    pub graph_def: Option<GraphDef>,
    /// Which nodes restore and save the variables.
    #[prost(message, optional, tag = "3")]
    pub saver_def: Option<SaverDef>,
    /// What can be asked, by name.
    #[prost(btree_map = "string, message", tag = "5")]
    pub signature_def: BTreeMap<String, SignatureDef>,
    /// What `tf.saved_model.load` makes.
    #[prost(message, optional, tag = "7")]
    pub object_graph_def: Option<SavedObjectGraph>,
}

/// What a graph is for.
#[derive(Clone, PartialEq, Message)]
pub struct MetaInfoDef {
    /// By these it is found.
    #[prost(string, repeated, tag = "4")]
    pub tags: Vec<String>,
    /// The version of TensorFlow whose operators these are.
    #[prost(string, tag = "5")]
    pub tensorflow_version: String,
}

/// Nodes in any order, and the functions that they call.
#[derive(Clone, PartialEq, Message)]
pub struct GraphDef {
    /// Operations.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeDef>,
    /// Functions.
    #[prost(message, optional, tag = "2")]
    pub library: Option<FunctionDefLibrary>,
    /// Of the operators.
    #[prost(message, optional, tag = "4")]
    pub versions: Option<VersionDef>,
}

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Which one.
    #[prost(string, tag = "2")]
    pub op: String,
    /// In a graph `node:number`, in a function `node:output:number` or an argument; `^node` comes before.
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    /// What is fixed.
    #[prost(btree_map = "string, message", tag = "5")]
    pub attr: BTreeMap<String, AttrValue>,
}

/// A fixed argument of an operation.
#[derive(Clone, PartialEq, Message)]
pub struct AttrValue {
    /// One of them.
    #[prost(oneof = "Attr", tags = "1, 2, 3, 4, 5, 6, 7, 8, 10")]
    pub value: Option<Attr>,
}

/// Kinds of [`AttrValue`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Attr {
    /// Several of one kind.
    #[prost(message, tag = "1")]
    List(ListValue),
    /// Bytes of a text.
    #[prost(bytes, tag = "2")]
    S(Vec<u8>),
    /// A whole number.
    #[prost(int64, tag = "3")]
    I(i64),
    /// A number.
    #[prost(float, tag = "4")]
    F(f32),
    /// Truth.
    #[prost(bool, tag = "5")]
    B(bool),
    /// A [`DataType`].
    #[prost(enumeration = "DataType", tag = "6")]
    Type(i32),
    /// A shape.
    #[prost(message, tag = "7")]
    Shape(TensorShapeProto),
    /// A constant.
    #[prost(message, tag = "8")]
    Tensor(TensorProto),
    /// A function.
    #[prost(message, tag = "10")]
    Func(NameAttrList),
}

/// Several values of one kind.
#[derive(Clone, PartialEq, Message)]
pub struct ListValue {
    /// Whole numbers.
    #[prost(int64, repeated, tag = "3")]
    pub i: Vec<i64>,
    /// Types.
    #[prost(enumeration = "DataType", repeated, tag = "6")]
    pub r#type: Vec<i32>,
    /// Shapes.
    #[prost(message, repeated, tag = "7")]
    pub shape: Vec<TensorShapeProto>,
}

/// A function, by its name.
#[derive(Clone, PartialEq, Message)]
pub struct NameAttrList {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A constant.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Its type.
    #[prost(enumeration = "DataType", tag = "1")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub tensor_shape: Option<TensorShapeProto>,
    /// Its elements, little-endian …
    #[prost(bytes = "vec", tag = "4")]
    pub tensor_content: Vec<u8>,
    /// … or texts.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub string_val: Vec<Vec<u8>>,
}

/// A shape; a length that varies is −1.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Lengths of the axes.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<DimProto>,
    /// Not even the number of axes is known.
    #[prost(bool, tag = "3")]
    pub unknown_rank: bool,
}

/// The length of an axis.
#[derive(Clone, PartialEq, Message)]
pub struct DimProto {
    /// −1: it varies.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// Types of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum DataType {
    /// None.
    Invalid = 0,
    /// f32
    Float = 1,
    /// i32
    Int32 = 3,
    /// A text.
    String = 7,
    /// i64
    Int64 = 9,
    /// Truth, a byte.
    Bool = 10,
    /// What a variable is held by.
    Resource = 20,
}

/// Functions.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionDefLibrary {
    /// In any order.
    #[prost(message, repeated, tag = "1")]
    pub function: Vec<FunctionDef>,
}

/// A function.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionDef {
    /// Name, arguments and results.
    #[prost(message, optional, tag = "1")]
    pub signature: Option<OpDef>,
    /// Operations.
    #[prost(message, repeated, tag = "3")]
    pub node_def: Vec<NodeDef>,
    /// Which value each result is.
    #[prost(btree_map = "string, string", tag = "4")]
    pub ret: BTreeMap<String, String>,
    /// What is fixed.
    #[prost(btree_map = "string, message", tag = "5")]
    pub attr: BTreeMap<String, AttrValue>,
}

/// What a function takes and gives.
#[derive(Clone, PartialEq, Message)]
pub struct OpDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Arguments.
    #[prost(message, repeated, tag = "2")]
    pub input_arg: Vec<ArgDef>,
    /// Results.
    #[prost(message, repeated, tag = "3")]
    pub output_arg: Vec<ArgDef>,
    /// It reads variables.
    #[prost(bool, tag = "17")]
    pub is_stateful: bool,
}

/// An argument or result.
#[derive(Clone, PartialEq, Message)]
pub struct ArgDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(enumeration = "DataType", tag = "3")]
    pub r#type: i32,
    /// Of a variable: what it holds.
    #[prost(message, repeated, tag = "7")]
    pub handle_data: Vec<DtypeAndShape>,
}

/// What a variable holds.
#[derive(Clone, PartialEq, Message)]
pub struct DtypeAndShape {
    /// The type of its elements.
    #[prost(enumeration = "DataType", tag = "1")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// Which programs can read it.
#[derive(Clone, PartialEq, Message)]
pub struct VersionDef {
    /// Of the program that wrote it.
    #[prost(int32, tag = "1")]
    pub producer: i32,
    /// The least of those that read it.
    #[prost(int32, tag = "2")]
    pub min_consumer: i32,
}

/// Which nodes restore and save the variables.
#[derive(Clone, PartialEq, Message)]
pub struct SaverDef {
    /// Takes the prefix of the files.
    #[prost(string, tag = "1")]
    pub filename_tensor_name: String,
    /// Gives it after the variables were saved.
    #[prost(string, tag = "2")]
    pub save_tensor_name: String,
    /// Restores them.
    #[prost(string, tag = "3")]
    pub restore_op_name: String,
    /// 2
    #[prost(int32, tag = "7")]
    pub version: i32,
}

/// What can be asked of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct SignatureDef {
    /// What is given, by name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub inputs: BTreeMap<String, TensorInfo>,
    /// What is computed, by name.
    #[prost(btree_map = "string, message", tag = "2")]
    pub outputs: BTreeMap<String, TensorInfo>,
    /// What kind of question.
    #[prost(string, tag = "3")]
    pub method_name: String,
}

/// A value of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct TensorInfo {
    /// `node:number`
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type of its elements.
    #[prost(enumeration = "DataType", tag = "2")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "3")]
    pub tensor_shape: Option<TensorShapeProto>,
}

impl TensorShapeProto {
    /// A shape whose lengths are known, or −1.
    pub fn of(lengths: impl IntoIterator<Item = i64>) -> Self {
        Self {
            dim: lengths.into_iter().map(|size| DimProto { size }).collect(),
            unknown_rank: false,
        }
    }
}

impl From<Attr> for AttrValue {
    fn from(value: Attr) -> Self {
        Self { value: Some(value) }
    }
}
