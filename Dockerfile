# One image for every role; the command chooses it: edge, gpu, agent or learner.
#   docker build -t collm .
#   docker run -p 8000:8000 -e COLLM_TOKEN=… collm edge --host 0.0.0.0
FROM node:22-bookworm-slim

RUN npm install --global deno@2.9.6 --allow-scripts=deno \
    && useradd --create-home --uid 10001 collm
WORKDIR /app
COPY --chown=collm:collm . .
RUN chown collm:collm /app
USER collm
RUN deno install --frozen
EXPOSE 8000 8100
ENTRYPOINT ["deno", "task"]
CMD ["edge", "--host", "0.0.0.0"]
