"""Floor 4: the command line, a thin shell over `training/`.

main        the commands, and how they end: 0, 1 for a failure, 2 for misuse, 130 for Ctrl-C
parser      how commands read their arguments
watching    the commands that look at runs: plot, report
tune        good settings by many trials
sweep       a trained agent over a grid of environment parameters    screen: what --render shows episodes on
options     `--any.key value` for whatever a YAML file may hold
"""
