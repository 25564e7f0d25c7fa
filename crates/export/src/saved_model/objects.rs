//! The objects that `tf.saved_model.load` makes of a model: something that can be called with the inputs by name, its
//! signatures and its variables; and the same as the files of the variables know them.

use super::meta::{ENTRIES, Entry, Model, Port};
use super::proto::objects::{
    DictValue, FunctionSpec, Kind, NamedTupleValue, NoneValue, ObjectReference, PairValue,
    SavedBareConcreteFunction, SavedConcreteFunction, SavedFunction, SavedObject, SavedObjectGraph,
    SavedUserObject, SavedVariable, SerializedTensor, Structured, StructuredValue, TensorSpecProto,
    TrackableObject, TrackableObjectGraph, Values,
};
use super::proto::{DataType, VersionDef};

/// Number of the object of the first signature; those of the others follow.
const FIRST_ENTRY: i32 = 5;
/// Number of the object of the first variable.
const FIRST_VARIABLE: i32 = FIRST_ENTRY + ENTRIES.len() as i32;

pub(super) fn saved(model: &Model<'_>) -> SavedObjectGraph {
    let functions = ENTRIES.iter().map(|entry| entry.function.to_owned());
    let call = Kind::Function(SavedFunction {
        concrete_functions: functions.collect(),
        function_spec: Some(spec(model)),
    });
    let mut kinds = vec![
        user("_generic_user_object"),
        call,
        user("signature_map"),
        user("trackable_list_wrapper"),
        user("trackable_list_wrapper"),
    ];
    kinds.extend(ENTRIES.iter().map(|entry| signature(entry, model)));
    kinds.extend(model.variables.iter().map(|variable| {
        Kind::Variable(SavedVariable {
            dtype: DataType::Float.into(),
            shape: Some(variable.shape()),
            trainable: true,
            name: variable.name.clone(),
        })
    }));
    let concrete = ENTRIES
        .iter()
        .map(|entry| (entry.function.to_owned(), concrete(entry, model)));
    let nodes = kinds.into_iter().zip(children(model));
    SavedObjectGraph {
        nodes: nodes
            .map(|(kind, children)| SavedObject {
                children,
                kind: Some(kind),
            })
            .collect(),
        concrete_functions: concrete.collect(),
    }
}

/// The objects as the files of the variables know them.
pub(super) fn trackable(model: &Model<'_>) -> TrackableObjectGraph {
    let mut nodes: Vec<TrackableObject> = children(model)
        .into_iter()
        .map(|children| TrackableObject {
            children,
            attributes: Vec::new(),
        })
        .collect();
    for (node, variable) in nodes[FIRST_VARIABLE as usize..]
        .iter_mut()
        .zip(&model.variables)
    {
        node.attributes.push(SerializedTensor {
            name: "VARIABLE_VALUE".to_owned(),
            full_name: variable.name.clone(),
            checkpoint_key: variable.key(),
        });
    }
    TrackableObjectGraph { nodes }
}

/// The attributes of every object.
fn children(model: &Model<'_>) -> Vec<Vec<ObjectReference>> {
    let child = |local_name: &str, node_id: i32| ObjectReference {
        node_id,
        local_name: local_name.to_owned(),
    };
    let root = ["__call__", "signatures", "variables", "trainable_variables"];
    let root = root
        .into_iter()
        .zip(1..)
        .map(|(name, number)| child(name, number));
    let signatures = ENTRIES.iter().zip(FIRST_ENTRY..);
    let signatures = signatures.map(|(entry, number)| child(entry.name, number));
    let variables =
        (0..model.variables.len() as i32).map(|i| child(&i.to_string(), FIRST_VARIABLE + i));
    let variables: Vec<ObjectReference> = variables.collect();
    let mut all = vec![
        root.collect(),
        Vec::new(),
        signatures.collect(),
        variables.clone(),
        variables,
    ];
    all.resize(FIRST_VARIABLE as usize + model.variables.len(), Vec::new());
    all
}

fn user(identifier: &str) -> Kind {
    Kind::UserObject(SavedUserObject {
        identifier: identifier.to_owned(),
        version: Some(VersionDef {
            producer: 1,
            min_consumer: 1,
        }),
    })
}

fn signature(entry: &Entry, model: &Model<'_>) -> Kind {
    let names = model.inputs.iter().map(|input| input.name.clone());
    Kind::BareConcreteFunction(SavedBareConcreteFunction {
        concrete_function_name: entry.function.to_owned(),
        argument_keywords: names.collect(),
        allowed_positional_arguments: 0,
        function_spec: Some(spec(model)),
    })
}

/// `f(*, attention_mask, input_ids, token_type_ids)`, for tensors of any type for which there is a function.
fn spec(model: &Model<'_>) -> FunctionSpec {
    let none = || Structured::None(NoneValue {});
    let list = |names: Vec<&str>| {
        let names = names
            .into_iter()
            .map(|name| Structured::Text(name.to_owned()).into());
        Structured::List(Values {
            values: names.collect(),
        })
    };
    let names = model.inputs.iter().map(|input| input.name.as_str());
    let fields = [
        ("args", list(Vec::new())),
        ("varargs", none()),
        ("varkw", none()),
        ("defaults", none()),
        ("kwonlyargs", list(names.collect())),
        ("kwonlydefaults", none()),
        ("annotations", Structured::Dict(DictValue::default())),
    ];
    let values = fields.into_iter().map(|(key, value)| PairValue {
        key: key.to_owned(),
        value: Some(value.into()),
    });
    FunctionSpec {
        fullargspec: Some(
            Structured::NamedTuple(NamedTupleValue {
                name: "FullArgSpec".to_owned(),
                values: values.collect(),
            })
            .into(),
        ),
        input_signature: Some(none().into()),
    }
}

fn concrete(entry: &Entry, model: &Model<'_>) -> SavedConcreteFunction {
    let dictionary = |ports: &[Port], kind: &dyn Fn(&Port) -> DataType| -> StructuredValue {
        let fields = ports.iter().map(|port| {
            let spec = TensorSpecProto {
                name: port.name.clone(),
                shape: Some(port.shape.clone()),
                dtype: kind(port).into(),
            };
            (port.name.clone(), Structured::TensorSpec(spec).into())
        });
        Structured::Dict(DictValue {
            fields: fields.collect(),
        })
        .into()
    };
    let unnamed = Structured::Tuple(Values::default()).into();
    let named = dictionary(&model.inputs, &|_| entry.kind);
    let variables = FIRST_VARIABLE..FIRST_VARIABLE + model.variables.len() as i32;
    SavedConcreteFunction {
        bound_inputs: variables.collect(),
        canonicalized_input_signature: Some(
            Structured::Tuple(Values {
                values: vec![unnamed, named],
            })
            .into(),
        ),
        output_signature: Some(dictionary(&model.outputs, &|port| port.kind)),
    }
}
