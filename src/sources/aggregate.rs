//! One number out of the values of several series.

use crate::domain::policy::{Aggregate, Missing, NoValue};

use super::finite;

/// The one number that `values` of series `of` some query or metric stand for.
///
/// # Errors
/// If there is no value, one of them is not finite (a part of a sum is not a sum), or there are several and no
/// `aggregate` says what they mean together.
pub fn combine(values: &[f64], aggregate: Option<Aggregate>, of: &str) -> Result<f64, NoValue> {
    let aggregate = match (values, aggregate) {
        ([], _) => return Err(NoValue::invalid(format!("there is no series of {of}"))),
        ([value], _) => return finite(*value),
        (_, Some(aggregate)) => aggregate,
        (several, None) => {
            let detail =
                format!("there are {} series of {of}; say how to aggregate them, or select one", several.len());
            return Err(NoValue { reason: Missing::SeveralSeries, detail });
        }
    };
    for value in values {
        finite(*value)
            .map_err(|error| NoValue::invalid(format!("of one of {} series {}", values.len(), error.detail)))?;
    }
    let sum = values.iter().sum::<f64>();
    finite(match aggregate {
        Aggregate::Sum => sum,
        Aggregate::Avg => sum / values.len() as f64,
        Aggregate::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Aggregate::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_become_one_only_as_it_was_asked_for() {
        use Aggregate::{Avg, Max, Min, Sum};
        use Missing::{Invalid, SeveralSeries};
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for (values, aggregate, expected) in [
            (&[7.0][..], None, Ok(7.0)),
            (&[7.0], Some(Sum), Ok(7.0)),
            (&[1.0, 2.0, 6.0], Some(Sum), Ok(9.0)),
            (&[1.0, 2.0, 6.0], Some(Avg), Ok(3.0)),
            (&[1.0, -2.0, 6.0], Some(Min), Ok(-2.0)),
            (&[1.0, -2.0, 6.0], Some(Max), Ok(6.0)),
            (
                &[1.0, 2.0],
                None,
                Err((SeveralSeries, "there are 2 series of jobs; say how to aggregate them, or select one")),
            ),
            (&[], None, Err((Invalid, "there is no series of jobs"))),
            (&[], Some(Sum), Err((Invalid, "there is no series of jobs"))),
            (&[nan], None, Err((Invalid, "the value is NaN"))),
            (&[-inf], Some(Max), Err((Invalid, "the value is -Inf"))),
            (&[1.0, nan], Some(Max), Err((Invalid, "of one of 2 series the value is NaN"))),
            (&[nan, 1.0], Some(Min), Err((Invalid, "of one of 2 series the value is NaN"))),
            (&[inf, 1.0], Some(Min), Err((Invalid, "of one of 2 series the value is +Inf"))),
            (&[f64::MAX, f64::MAX], Some(Sum), Err((Invalid, "the value is +Inf"))),
        ] {
            let expected = expected.map_err(|(reason, detail): (_, &str)| NoValue { reason, detail: detail.into() });
            assert_eq!(combine(values, aggregate, "jobs"), expected, "{values:?} {aggregate:?}");
        }
    }
}
