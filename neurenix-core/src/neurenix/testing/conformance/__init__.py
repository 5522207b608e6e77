"""The conformance kit: what every backend has to do, as tests that a backend's author runs.

    pytest --pyargs neurenix.testing.conformance --neurenix-device=DEVICE

| Module | Level |
|---|---|
| `test_l0_storage` | memory: allocation, transfer, views, copies, release |
| `test_l1_primitives` | the primitives, in values, dtypes and layouts |
| `test_l2_composites` | composite ops, by their kernels or by their decompositions |
| `test_l3_gradients` | gradients, and a tiny fine-tune |
| `test_l4_compile` | plans of graphs equal the eager run |
| `test_l5_plugin` | devices side by side, fallback, random numbers, threads |

A level is run alone by its module: ``--pyargs neurenix.testing.conformance.test_l0_storage``.
"""
