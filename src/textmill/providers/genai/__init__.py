"""Models in OpenVINO's own form that write text, by OpenVINO GenAI."""
