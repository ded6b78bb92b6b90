//! On the host: trains likewise, and compares with what the firmware printed, read from standard input. Fails where a number differs by
//! more than 10⁻⁴ of its magnitude, or is missing.

use std::error::Error;
use std::io;

use flatmin_firmware::{EVERY, Memory, STEPS, Training, numbers};

const TOLERANCE: f64 = 1e-4;

fn main() -> Result<(), Box<dyn Error>> {
    let printed = io::read_to_string(io::stdin())?;
    let mut printed = printed.lines();
    let (mut compared, mut worst) = (0, (0.0, String::new()));
    let mut compare = |index: u32, name: &str, expected: f64| -> Result<(), Box<dyn Error>> {
        let line = printed.next().ok_or("the firmware stopped early")?;
        let (label, number) = line.rsplit_once(' ').ok_or_else(|| format!("{line}: no number"))?;
        if label != format!("{index} {name}") {
            return Err(format!("{line}: expected {index} {name}").into());
        }
        let difference = (number.parse::<f64>()? - expected).abs() / expected.abs();
        compared += 1;
        if difference > worst.0 {
            worst = (difference, format!("{label}: {number} on the target, {expected:e} here"));
        }
        Ok(())
    };

    let mut memory = Box::new(Memory::new());
    let mut training = Training::new(&mut memory)?;
    for index in 0..STEPS {
        let step = training.step()?;
        if index % EVERY == 0 {
            for (name, number) in numbers(&step).ok_or("a step without a penalty")? {
                compare(index, name, number)?;
            }
        }
    }
    compare(STEPS, "accuracy", training.accuracy()?)?;
    println!("{compared} numbers compared; largest relative difference {:.1e} ({})", worst.0, worst.1);
    if worst.0 <= TOLERANCE { Ok(()) } else { Err("the firmware computes something else".into()) }
}
