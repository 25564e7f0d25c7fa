//! The stack machine of pickles, for which a name of Python is a symbol and nothing can be called.
//!
//! Containers are numbers: what is put into them goes to one list for all, so that a container within
//! itself is harmless, nothing here or later follows a value to any depth, and there is nothing to
//! allocate for an empty one.

use super::{
    Fault,
    object::{Entry, Object, Run, Value},
    opcodes::{Op, Reader},
};
use std::collections::HashMap;

/// Values in each of the machine's lists, so many for a whole file.
const MAX_VALUES: usize = 1 << 20;
/// Values on the stack. Python's writer puts at most two thousand.
const MAX_STACK: usize = 1 << 16;
/// Marks that are open at once: containers within one another.
const MAX_MARKS: usize = 64;

/// Runs the pickle that begins at `start`; [`Fault::End`] if it does not end in `bytes`.
pub(super) fn run(bytes: &[u8], start: usize) -> Result<Object<'_>, Fault> {
    let mut machine = Machine {
        reader: Reader { bytes, at: start },
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        steps: 0,
        containers: 0,
        by_key: HashMap::new(),
        object: Object::default(),
    };
    machine.reader.protocol()?;
    loop {
        let at = machine.reader.at;
        match machine.step() {
            Ok(true) => {}
            Ok(false) => return Ok(machine.object),
            Err(Fault::File { problem, advice }) => {
                return Err(Fault::file(format!("at byte {at} {problem}"), advice));
            }
            Err(fault) => return Err(fault),
        }
    }
}

pub(super) struct Machine<'a> {
    reader: Reader<'a>,
    stack: Vec<Value<'a>>,
    /// How high the stack was at each open mark.
    marks: Vec<usize>,
    memo: Vec<Option<Value<'a>>>,
    steps: usize,
    /// Lists and dictionaries so far.
    containers: u32,
    pub(super) by_key: HashMap<&'a str, u32>,
    pub(super) object: Object<'a>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; false if it was the last.
    fn step(&mut self) -> Result<bool, Fault> {
        self.steps += 1;
        match self.reader.next()? {
            Op::Nothing => Ok(()),
            Op::Stop => {
                self.object.value = self.pop()?;
                if !(self.stack.is_empty() && self.marks.is_empty()) {
                    return Err(damaged("ends while values are left over"));
                }
                self.object.end = self.reader.at;
                return Ok(false);
            }
            Op::None => self.push(Value::None),
            Op::Bool(value) => self.push(Value::Bool(value)),
            Op::Int(value) => self.push(Value::Int(value)),
            Op::Long(bytes) => self.push(Value::Long(bytes)),
            Op::Float => self.push(Value::Other),
            Op::Text(text) => self.push(Value::Text(text)),
            Op::EmptyList => {
                let number = self.container();
                self.push(Value::List(number))
            }
            Op::EmptyDict => self.push_dict(false),
            Op::Mark => {
                if self.marks.len() == MAX_MARKS {
                    return Err(too_many(MAX_MARKS, "marks that are open at once"));
                }
                self.marks.push(self.stack.len());
                Ok(())
            }
            Op::Tuple(length) => {
                let start = self.start_of_last(length)?;
                self.tuple(start)
            }
            Op::MarkedTuple => {
                let start = self.pop_mark()?;
                self.tuple(start)
            }
            Op::Append => {
                let start = self.start_of_last(1)?;
                self.append(start)
            }
            Op::Appends => {
                let start = self.pop_mark()?;
                self.append(start)
            }
            Op::SetItem => {
                let start = self.start_of_last(2)?;
                self.set_items(start)
            }
            Op::SetItems => {
                let start = self.pop_mark()?;
                self.set_items(start)
            }
            Op::Put(number) => self.put(number),
            Op::Memoize => self.put(self.memo.len()),
            Op::Get(number) => match self.memo.get(number) {
                Some(Some(value)) => self.push(*value),
                _ => Err(damaged(&format!(
                    "asks for value {number}, which was not kept"
                ))),
            },
            Op::Global(module, name) => self.global(module, name),
            Op::StackGlobal => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(module, name),
                _ => Err(damaged("has a global whose name is not a text")),
            },
            Op::PersistentId => self.storage(),
            Op::Reduce => self.reduce(),
            Op::Build => self.build(),
        }?;
        Ok(true)
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), Fault> {
        if self.stack.len() == MAX_STACK {
            return Err(too_many(MAX_STACK, "values on the stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    /// Where the last `count` values begin, all of them after the last mark.
    fn start_of_last(&self, count: usize) -> Result<usize, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count);
        start
            .filter(|&start| start >= floor)
            .ok_or_else(|| damaged("takes a value from an empty stack"))
    }

    pub(super) fn pop(&mut self) -> Result<Value<'a>, Fault> {
        let top = self.start_of_last(1)?;
        let value = self.stack[top];
        self.stack.truncate(top);
        Ok(value)
    }

    pub(super) fn top(&self) -> Result<Value<'a>, Fault> {
        Ok(self.stack[self.start_of_last(1)?])
    }

    /// Where the values after the last mark begin; the mark is gone.
    fn pop_mark(&mut self) -> Result<usize, Fault> {
        let mark = self.marks.pop();
        mark.ok_or_else(|| damaged("takes values up to a mark, but none is open"))
    }

    /// A number for a new list or dictionary. Each takes a byte of the pickle at least.
    fn container(&mut self) -> u32 {
        self.containers += 1;
        self.containers
    }

    pub(super) fn push_dict(&mut self, ordered: bool) -> Result<(), Fault> {
        let number = self.container();
        self.push(Value::Dict { number, ordered })
    }

    fn tuple(&mut self, start: usize) -> Result<(), Fault> {
        let values = self.stack.drain(start..);
        let tuples = &mut self.object.tuples;
        if values.len() > MAX_VALUES - tuples.len() {
            return Err(too_many(MAX_VALUES, "values in tuples"));
        }
        let run = Run {
            start: tuples.len() as u32,
            length: values.len() as u32,
        };
        tuples.extend(values);
        self.push(Value::Tuple(run))
    }

    /// Puts the values from `start` into the list below them.
    fn append(&mut self, start: usize) -> Result<(), Fault> {
        let values: Vec<Value<'a>> = self.stack.drain(start..).collect();
        let Value::List(list) = self.top()? else {
            return Err(damaged("appends to something that is not a list"));
        };
        let items = &mut self.object.items;
        if values.len() > MAX_VALUES - items.len() {
            return Err(too_many(MAX_VALUES, "values in lists"));
        }
        items.extend(values.into_iter().map(|value| (list, value)));
        Ok(())
    }

    /// Puts the keys and values from `start` into the dictionary below them.
    fn set_items(&mut self, start: usize) -> Result<(), Fault> {
        let values: Vec<Value<'a>> = self.stack.drain(start..).collect();
        let Value::Dict { number: dict, .. } = self.top()? else {
            return Err(damaged("sets items of something that is not a dictionary"));
        };
        let (pairs, []) = values.as_chunks::<2>() else {
            return Err(damaged("sets an item without a value"));
        };
        for &[key, value] in pairs {
            // Nothing else of a dictionary is ever asked for.
            if !matches!(
                value,
                Value::Tensor(_) | Value::Dict { .. } | Value::Bool(_)
            ) {
                continue;
            }
            if self.object.entries.len() == MAX_VALUES {
                return Err(too_many(MAX_VALUES, "items in dictionaries"));
            }
            self.object.entries.push(Entry { dict, key, value });
        }
        Ok(())
    }

    /// Keeps the top value under a number. Python counts them, so that none is larger than the number
    /// of instructions before it.
    fn put(&mut self, number: usize) -> Result<(), Fault> {
        let value = self.top()?;
        if number >= self.steps {
            let steps = self.steps;
            return Err(Fault::deceives(format!(
                "its pickle keeps a value under number {number} in instruction {steps}"
            )));
        }
        if number >= MAX_VALUES {
            return Err(too_many(MAX_VALUES, "values kept"));
        }
        if number >= self.memo.len() {
            self.memo.resize(number + 1, None);
        }
        self.memo[number] = Some(value);
        Ok(())
    }
}

pub(super) fn damaged(problem: &str) -> Fault {
    Fault::damaged(format!("its pickle {problem}"))
}

pub(super) fn too_many(limit: usize, what: &str) -> Fault {
    Fault::deceives(format!("its pickle has more than {limit} {what}"))
}
