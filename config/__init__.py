from scheduling import zone_data

zone_data.use_pinned()  # before any zone is read: every process imports this package first
