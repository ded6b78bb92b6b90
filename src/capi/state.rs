//! An optimizer's state.

use super::memory::{Memory, Output, Place};
use super::status::Failure;
use super::structure::structure;
use crate::error::Error;
use crate::optimizer::State;
use crate::real::Real;
use crate::sampled::Averages;

structure! {
    /// What an optimizer remembers between steps. Before the first step all zero but for `size` and `moments`.
    CState<T> = "flatmin_state" {
        /// What the update remembers, laid out like θ, zero before the first step: nothing, then it may be null; SGD's velocity; or Adam's first
        /// moments, and behind them the second.
        moments: *mut T,
        /// 0, P or 2P: as `flatmin_optimizer_moments_len` says.
        moments_len: usize,
        /// Steps taken, modulo 2⁶⁴; with the seed, all that random numbers depend on.
        steps: u64,
        /// The running average of a sampled penalty's estimates of tr H.
        average_trace: f64,
        /// The same of tr H².
        average_trace_of_square: f64,
        /// The size to which contributions to ∇Λ are limited; 0 while there is none.
        average_limit: f64,
        /// The average of the sum of the contributions' sizes, before they are limited.
        average_whole: f64,
        /// The same after they are limited.
        average_limited: f64,
        /// Estimates that went into both, modulo 2⁶⁴.
        average_count: u64,
    }
}

/// A state and its moments, noted.
pub(super) struct StateMemory<T> {
    place: Place<CState<T>>,
    moments: Output<T>,
    state: CState<T>,
}

impl<T: Real> StateMemory<T> {
    /// # Safety
    ///
    /// As for [`Memory::read`].
    pub(super) unsafe fn note(place: *mut CState<T>, memory: &mut Memory) -> Result<Self, Failure> {
        // SAFETY: as promised.
        let (state, place) = unsafe { memory.change(place, "state")? };
        let moments = memory.output(state.moments, state.moments_len, "moments")?;
        Ok(Self { place, moments, state })
    }

    /// Hands the state to `work`, and writes it back where that succeeds.
    ///
    /// # Safety
    ///
    /// As for [`Output::slice`].
    pub(super) unsafe fn change<R>(self, work: impl FnOnce(&mut State<'_, T>) -> Result<R, Error>) -> Result<R, Error> {
        let state = &self.state;
        let averages = Averages {
            trace: state.average_trace,
            trace_of_square: state.average_trace_of_square,
            limit: state.average_limit,
            whole: state.average_whole,
            limited: state.average_limited,
            count: state.average_count,
        };
        // SAFETY: as promised.
        let mut state = State { moments: unsafe { self.moments.slice() }, steps: state.steps, averages };
        let done = work(&mut state)?;
        let Averages { trace, trace_of_square, limit, whole, limited, count } = state.averages;
        let new = CState {
            steps: state.steps,
            average_trace: trace,
            average_trace_of_square: trace_of_square,
            average_limit: limit,
            average_whole: whole,
            average_limited: limited,
            average_count: count,
            ..self.state
        };
        // SAFETY: as promised.
        unsafe { self.place.write(new) };
        Ok(done)
    }
}
