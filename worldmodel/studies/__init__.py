"""Comparisons of many runs.

- `worldmodel.studies.encoders`: what pretraining the encoder is worth, arm by arm.
- `worldmodel.studies.frontier`: success against plan time, planner by planner.
- `worldmodel.studies.anytime`: energy and success against the deadline.
- `worldmodel.studies.scaling`: plan time against the size of the search.
- `worldmodel.studies.plans`, `worldmodel.studies.resumable`: parts of a study that run once.
"""
