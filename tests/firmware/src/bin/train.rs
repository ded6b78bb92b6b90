//! On the target: trains, and prints reports over semihosting. Fails where a step fails, or the network has not learned.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use flatmin::Error;
use flatmin_firmware::{EVERY, Memory, STEPS, Training, numbers};

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    let status = match train(MEMORY) {
        Ok(accuracy) if accuracy > 0.95 => debug::EXIT_SUCCESS,
        Ok(_) => debug::EXIT_FAILURE,
        Err(error) => {
            hprintln!("error: {}", error);
            debug::EXIT_FAILURE
        }
    };
    loop {
        debug::exit(status);
    }
}

fn train(memory: &mut Memory) -> Result<f64, Error> {
    let mut training = Training::new(memory)?;
    for index in 0..STEPS {
        let step = training.step()?;
        if let (0, Some(numbers)) = (index % EVERY, numbers(&step)) {
            for (name, number) in numbers {
                hprintln!("{} {} {:e}", index, name, number);
            }
        }
    }
    let accuracy = training.accuracy()?;
    hprintln!("{} accuracy {:e}", STEPS, accuracy);
    Ok(accuracy)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    hprintln!("{}", info);
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
