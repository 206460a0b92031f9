"""What warp_dns and warp_twisted both use; knows neither."""
