//! The attribute on functions, as a kernel's crate uses it.

use taskhost_kernel::{Description, Error, Kernel, Map, Result, ResultLength};

mod bytes {
    use super::*;

    /// Writes letters large.
    ///
    /// And says so.
    #[taskhost_kernel::kernel(split = "lines", merge = "lines", result_length = "same")]
    fn shout_it(item: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(item.to_ascii_uppercase())
    }

    #[test]
    fn a_function_becomes_a_kernel() {
        assert_eq!(ShoutItKernel::process(b"hello"), Ok(b"HELLO".to_vec()));
        let wanted = Description::new("Writes letters large.").split("lines").merge("lines");
        assert_eq!(ShoutItKernel::describe(), wanted.result_length(ResultLength::Same));
    }
}

mod plain {
    use super::*;

    #[taskhost_kernel::kernel(summary = "A digest.", result_length = 1)]
    fn sum(item: &[u8]) -> Result<Vec<u8>> {
        Ok(vec![item.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))])
    }

    #[test]
    fn what_is_left_out_has_the_usual_value() {
        assert_eq!(SumKernel::process(&[1, 2, 255]), Ok(vec![2]));
        assert_eq!(SumKernel::describe(), Description::new("A digest.").result_length(ResultLength::Exactly(1)));
    }
}

#[cfg(feature = "typed")]
mod typed {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Circle { radius: f64 },
        Square { side: f64 },
    }

    /// Areas of shapes.
    #[taskhost_kernel::kernel(typed)]
    fn area(shape: Shape) -> Result<Option<f64>> {
        match shape {
            Shape::Circle { radius } if radius < 0.0 => Ok(None),
            Shape::Circle { radius } => Ok(Some(3.0 * radius * radius)),
            Shape::Square { side } => Ok(Some(side * side)),
        }
    }

    #[test]
    fn values_go_in_and_out() {
        let area = |shape: &Shape| {
            let item = postcard::to_allocvec(shape).map_err(|error| Error::failed(error.to_string()))?;
            postcard::from_bytes::<Option<f64>>(&AreaKernel::process(&item)?)
                .map_err(|error| Error::failed(error.to_string()))
        };
        assert_eq!(area(&Shape::Circle { radius: 2.0 }), Ok(Some(12.0)));
        assert_eq!(area(&Shape::Circle { radius: -2.0 }), Ok(None));
        assert_eq!(area(&Shape::Square { side: 2.0 }), Ok(Some(4.0)));
    }

    #[test]
    fn what_is_no_such_value_is_the_items_fault() {
        for item in [b"".as_slice(), &[9, 1], &[0; 10]] {
            assert!(matches!(AreaKernel::process(item), Err(Error::InvalidInput(_))), "{item:?}");
        }
    }
}
