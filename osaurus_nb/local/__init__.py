"""Models that run on this machine: fetched, checked, converted, and served by a worker process of their own.

Nothing here is imported by `import osaurus_nb`; mlx is imported by the worker and the converter only.
"""
