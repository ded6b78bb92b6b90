//! Work on several items by as many threads as there are cores.

use std::num::NonZeroUsize;
use std::{panic, thread};

use anyhow::Result;

/// `work` on every item; results in the order of the items. Each thread makes what its calls share by `start`.
pub fn map<S, I: Send, O: Send>(
    items: impl IntoIterator<Item = I>,
    start: impl Fn() -> Result<S> + Sync,
    work: impl Fn(&S, I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut rest: Vec<I> = items.into_iter().collect();
    let share = rest.len().div_ceil(cores).max(1);
    let mut shares = Vec::new();
    while !rest.is_empty() {
        let later = rest.split_off(share.min(rest.len()));
        shares.push(std::mem::replace(&mut rest, later));
    }
    let (start, work) = (&start, &work);
    let results: Result<Vec<Vec<O>>> = thread::scope(|scope| {
        let begin = |items: Vec<I>| {
            scope.spawn(move || {
                let shared = start()?;
                items.into_iter().map(|item| work(&shared, item)).collect()
            })
        };
        let threads: Vec<_> = shares.into_iter().map(begin).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
            .collect()
    });
    Ok(results?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn results_come_in_order_and_errors_through() {
        for count in [0, 1, 2, 7, 100] {
            let squares = map(0..count, || Ok(2), |power, item: i32| Ok(item.pow(*power))).unwrap();
            assert_eq!(squares, (0..count).map(|item| item * item).collect::<Vec<_>>());
        }
        let refuse = |_: &(), item: i32| if item == 5 { bail!("no {item}") } else { Ok(item) };
        assert_eq!(map(0..9, || Ok(()), refuse).unwrap_err().to_string(), "no 5");
    }
}
