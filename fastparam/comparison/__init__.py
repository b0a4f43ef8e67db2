"""Full simulation against candidates: observables with uncertainties, verdicts, figures and one report."""
