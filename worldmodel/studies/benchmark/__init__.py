"""The field's benchmarks: a planner and its peers on the same pairs of start and goal.

- `worldmodel.studies.benchmark.tasks`: the tasks, and what others published on them.
- `worldmodel.studies.benchmark.rows`: who acts.
- `worldmodel.studies.benchmark.run`: the pairs, row by row, and how rows compare.
- `worldmodel.studies.benchmark.page`: a table and a page.
"""
