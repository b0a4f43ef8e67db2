"""geometry.yaml: schema, materials, detector, frames, shipped geometries."""
