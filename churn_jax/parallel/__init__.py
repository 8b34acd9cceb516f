"""One mesh over all devices and processes: shardings, stacking within a device, start and end."""
