//! The results as CSV, for other plotting programs.

use std::path::Path;

use anyhow::Result;
use csv::Writer;

use crate::experiment::Outcome;

/// Writes runs.csv, trajectories.csv and eigenvalues.csv.
pub fn write(folder: &Path, outcomes: &[Outcome]) -> Result<()> {
    let mut runs = Writer::from_path(folder.join("runs.csv"))?;
    let mut trajectories = Writer::from_path(folder.join("trajectories.csv"))?;
    let mut eigenvalues = Writer::from_path(folder.join("eigenvalues.csv"))?;
    runs.write_record([
        "method",
        "seed",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "lambda_max",
        "lambda_min",
        "lambda_max_upper",
        "lambda_max_lower",
        "lambda_min_upper",
        "lambda_min_lower",
        "step_microseconds",
    ])?;
    trajectories.write_record(["method", "seed", "step", "lambda_max"])?;
    eigenvalues.write_record(["method", "seed", "eigenvalue"])?;
    for outcome in outcomes {
        let method = outcome.method.to_string();
        for run in &outcome.runs {
            let seed = run.seed.to_string();
            let (bounds, spectrum) = (&run.bounds, &run.spectrum);
            let numbers = [
                run.train.loss,
                run.train.accuracy,
                run.test.loss,
                run.test.accuracy,
                spectrum.greatest(),
                spectrum.least(),
                bounds.lambda_max_upper,
                bounds.lambda_max_lower,
                bounds.lambda_min_upper,
                bounds.lambda_min_lower,
                run.step_time,
            ];
            runs.write_record(
                [method.clone(), seed.clone()].into_iter().chain(numbers.map(|number| number.to_string())),
            )?;
            for (step, lambda) in &run.trajectory {
                trajectories.write_record([&method, &seed, &step.to_string(), &lambda.to_string()])?;
            }
            for eigenvalue in &spectrum.eigenvalues {
                eigenvalues.write_record([&method, &seed, &eigenvalue.to_string()])?;
            }
        }
    }
    for mut file in [runs, trajectories, eigenvalues] {
        file.flush()?;
    }
    Ok(())
}
