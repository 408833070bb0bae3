"""From objects to what they are in the kernel, and back: pure functions over API objects and the kernel's own words."""
