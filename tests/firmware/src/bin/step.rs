//! On the target: steps and nothing else, to see how much flash they take, and that no panic can be reached from them.
//!
//! The panic handler calls a function that does not exist, so that this program links only if the compiler could prove that nothing
//! panics.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use flatmin_firmware::{Memory, STEPS, Training};

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    let mut status = debug::EXIT_FAILURE;
    if let Ok(mut training) = Training::new(MEMORY) {
        let done = (0..STEPS).all(|_| training.step().is_ok_and(|step| step.curvature.is_some()));
        status = if done { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE };
    }
    loop {
        debug::exit(status);
    }
}

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_can_be_reached()
}
