"""The NumPy reference backend: device type ``cpu``, priority 0, always there.

Its kernels are the executable specification of the ops.
"""
