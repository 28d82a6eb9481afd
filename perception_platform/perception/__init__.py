"""From a sweep and images to objects and obstacle points: ground, clusters, boxes, camera head, fusion, graph."""
