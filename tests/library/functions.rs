//! Functions of components that know nothing of taskhost, called with JSON values.

use serde_json::{Value, json};
use taskhost::{Error, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, pool};

#[path = "../invoke/library.rs"]
#[expect(dead_code, reason = "only one of its components is called here")]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod component;

pub(crate) const SCENARIOS: &[Scenario] =
    &[("functions_are_called_by_name", functions_are_called_by_name), ("a_map_over_a_function", a_map_over_a_function)];

fn functions_are_called_by_name() {
    let pool = pool();
    let library = pool.kernel(component::library()).expect("it has functions");
    assert_eq!(library.invoke("is-prime", &1_000_003).expect("a number"), Value::Bool(true));
    assert_eq!(library.invoke("divide", &[7, 2]).expect("two numbers"), json!(3));
    assert_eq!(library.invoke("divide", &json!({"dividend": 9, "divisor": 3})).expect("by name"), json!(3));
    let wrong = library.invoke("divide", &json!("seven"));
    assert!(matches!(&wrong, Err(Error::Task(TaskError::InvalidInput { .. }))), "{wrong:?}");
    assert!(matches!(library.invoke("no-such-thing", &1), Err(Error::Refused { .. })));
    // It is no kernel, which is said by whatever needs one.
    assert!(matches!(library.submit::<_, u64>(&1), Err(Error::Start(_))));
    assert!(matches!(library.map::<_, u64>([1]).next(), Some(Err(TaskError::Lost(_)))));
    assert!(bytes(&pool, "echo").invoke("is-prime", &1).is_err(), "a core module has no functions");
}

fn a_map_over_a_function() {
    let pool = pool();
    let library = pool.kernel(component::library()).expect("it has functions");
    let add = library.function("math#add").expect("there is one");
    let sums: Vec<Value> = add.map((0..1000).map(|n| (n, n + 1))).collect::<Result<_, _>>().expect("all are numbers");
    assert_eq!((sums.len(), &sums[999]), (1000, &json!(1999)));
}
